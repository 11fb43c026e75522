//! A hyper client of another body below a layer that replays bodies.
use bytes::Bytes;
use campanile::Retry;
use http::Request;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::{BoxError, ServiceBuilder, ServiceExt};

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let retry = Retry::builder().build()?;
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let payments = ServiceBuilder::new().layer(retry.http_layer()).service(client);
    let order = Request::post("http://payments/orders").body(Full::new(Bytes::from("order 7")))?;
    ServiceExt::<Request<Full<Bytes>>>::oneshot(payments, order).await?;
    Ok(())
}
