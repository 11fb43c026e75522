//! `balance`: a circuit for each endpoint, and how a balancer uses its readiness.

use campanile::{CircuitBreaker, CircuitState, Rejected};
use tower::balance::p2c::Balance;
use tower::buffer::BufferLayer;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::load_shed::LoadShedLayer;
use tower::load_shed::error::Overloaded;
use tower::util::{BoxCloneService, BoxService};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt};

use crate::support::{Act, Backend, OPEN_FOR, breaker, call, retry, secs};

type Endpoint = BoxService<Act, (), BoxError>;
type Client = BoxCloneService<Act, (), BoxError>;

/// Sends a call to the endpoint with fewer running calls, of two.
fn balance(endpoints: [Endpoint; 2]) -> Endpoint {
    let endpoints = endpoints.map(|endpoint| PendingRequests::new(endpoint, CompleteOnResponse::default()));
    Balance::new(ServiceList::new::<Act>(endpoints)).boxed()
}

/// The same for many clients.
fn balancer(endpoints: [Endpoint; 2]) -> Client {
    ServiceBuilder::new().boxed_clone().layer(BufferLayer::new(64)).service(balance(endpoints))
}

async fn open(breaker: &CircuitBreaker) {
    let mut client = breaker.layer().layer(Backend::default());
    for _ in 0..4 {
        call(&mut client, Act::Fail).await.unwrap_err();
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// Gives `fine` a call that keeps running. Chance decides between idle endpoints.
async fn occupy(client: &Client, fine: &Backend) {
    for _ in 0..1_000 {
        let mut client = client.clone();
        tokio::spawn(async move { call(&mut client, Act::Hang).await });
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        if fine.calls() > 0 {
            return;
        }
    }
    panic!("a balancer that never chooses an endpoint");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_around_the_balancer_opens_for_one_bad_endpoint() {
    let breaker = breaker();
    let bad = Backend::default().map_request(|_: Act| Act::Fail);
    let mut client = breaker.layer().layer(balancer([bad.boxed(), Backend::default().boxed()]));
    for _ in 0..10_000 {
        if breaker.state() == CircuitState::Open {
            break;
        }
        let _ = call(&mut client, Act::Succeed).await;
    }
    let error = call(&mut client, Act::Succeed).await.unwrap_err();
    assert!(Rejected::find(error.as_ref()).is_some(), "although half of the endpoints are fine");
}

/// A refusal is quick, so the endpoint behind the open circuit always has the fewest running calls. An outer retry
/// does not help, because it does not retry a refusal.
#[tokio::test(start_paused = true)]
async fn an_endpoint_that_refuses_attracts_the_calls() {
    let (breaker, fine) = (breaker(), Backend::default());
    open(&breaker).await;
    let client = balancer([breaker.layer().layer(Backend::default()).boxed(), fine.clone().boxed()]);
    occupy(&client, &fine).await;
    let mut client = retry().layer().layer(client);
    for _ in 0..20 {
        let error = call(&mut client, Act::Succeed).await.unwrap_err();
        assert!(Rejected::find(error.as_ref()).is_some());
    }
    assert_eq!(fine.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_not_ready_while_its_circuit_is_open_gets_no_calls() {
    let (breaker, mended, fine) = (breaker(), Backend::default(), Backend::default());
    open(&breaker).await;
    let protected = breaker.layer().unready_while_open().layer(mended.clone());
    let mut client = balancer([protected.boxed(), fine.clone().boxed()]);
    occupy(&client, &fine).await;
    for _ in 0..20 {
        call(&mut client, Act::Succeed).await.unwrap();
    }
    assert_eq!((fine.calls(), mended.calls()), (21, 0));
    // After its wait it is ready again, and the next call is the probe.
    tokio::time::sleep(OPEN_FOR).await;
    call(&mut client, Act::Succeed).await.unwrap();
    assert_eq!((breaker.state(), fine.calls(), mended.calls()), (CircuitState::Closed, 21, 1));
    // The same for a circuit that was forced open.
    breaker.force_open();
    call(&mut client, Act::Succeed).await.unwrap();
    assert_eq!((fine.calls(), mended.calls()), (22, 1));
    breaker.force_closed();
    call(&mut client, Act::Succeed).await.unwrap();
    assert_eq!((fine.calls(), mended.calls()), (22, 2));
}

#[tokio::test(start_paused = true)]
async fn a_balancer_without_a_ready_endpoint_waits_unless_it_sheds() {
    let breakers = [breaker(), breaker()];
    for breaker in &breakers {
        breaker.force_open();
    }
    let endpoints = || {
        breakers
            .each_ref()
            .map(|breaker| breaker.layer().unready_while_open().layer(Backend::default()).boxed())
    };
    let mut waits = balance(endpoints());
    assert!(tokio::time::timeout(secs(60), waits.ready()).await.is_err());
    let mut sheds = LoadShedLayer::new().layer(balance(endpoints()));
    assert!(call(&mut sheds, Act::Succeed).await.unwrap_err().is::<Overloaded>());
}
