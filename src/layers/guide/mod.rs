#![doc = include_str!("plain.md")]
#![cfg_attr(feature = "http", doc = include_str!("http.md"))]
#![cfg_attr(feature = "grpc", doc = include_str!("grpc.md"))]
