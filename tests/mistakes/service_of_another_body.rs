//! A hyper client of another body below a layer that replays bodies.
use bytes::Bytes;
use campanile::Retry;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::ServiceBuilder;
use tower::util::BoxService;

fn main() -> Result<(), campanile::ConfigError> {
    let retry = Retry::builder().build()?;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let payments = ServiceBuilder::new().layer(retry.http_layer()).service(client);
    let _ = BoxService::<Request<Full<Bytes>>, _, _>::new(payments);
    Ok(())
}
