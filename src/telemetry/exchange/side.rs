//! Server or client, HTTP or gRPC.

/// The side and the protocol of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    HttpServer,
    HttpClient,
    #[cfg(feature = "grpc")]
    GrpcServer,
    #[cfg(feature = "grpc")]
    GrpcClient,
}

impl Side {
    pub(super) fn is_grpc(self) -> bool {
        !matches!(self, Self::HttpServer | Self::HttpClient)
    }

    pub(super) fn is_client(self) -> bool {
        match self {
            Self::HttpServer => false,
            Self::HttpClient => true,
            #[cfg(feature = "grpc")]
            Self::GrpcServer => false,
            #[cfg(feature = "grpc")]
            Self::GrpcClient => true,
        }
    }

    /// The component of spans, unless the user sets one.
    pub(super) fn component(self) -> &'static str {
        match self {
            Self::HttpServer => "http_server",
            Self::HttpClient => "http_client",
            #[cfg(feature = "grpc")]
            Self::GrpcServer => "grpc_server",
            #[cfg(feature = "grpc")]
            Self::GrpcClient => "grpc_client",
        }
    }

    /// Whether a response with this status is an error: of HTTP, or a code of gRPC.
    pub(super) fn fails(self, status: u16) -> bool {
        match self {
            Self::HttpServer => status >= 500,
            Self::HttpClient => status >= 400,
            #[cfg(feature = "grpc")]
            Self::GrpcServer => matches!(status, 2 | 4 | 12 | 13 | 14 | 15),
            #[cfg(feature = "grpc")]
            Self::GrpcClient => status != 0,
        }
    }
}
