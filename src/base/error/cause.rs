//! Access to the causes of errors of any type.

use std::convert::Infallible;
use std::error::Error;

use tower::BoxError;

use super::call::CallError;

/// An error of any type whose causes can be read.
///
/// Layers and functions that pass an error on unchanged need it: the whole chain of [`Error::source`] decides whether a
/// call is retried, and what a dead letter or a metric says about it.
///
/// Every [`Error`] without borrowed parts is one, and so are boxes of `dyn Error`, `String` and `&str`, each also in a
/// [`CallError`]. Such a box is not itself an [`Error`], so no bound of the standard library covers them all. `K` only
/// distinguishes these cases.
///
/// # Which `K`
/// - **In a stack around a service** `K` is inferred from the error type of the service. A layer that is never put
///   around a service has no `K`: the compiler asks for type annotations.
/// - **In a type that is written out**, such as the field of a struct, `K` is [`ByError`] unless another is named. For
///   services whose error is a [`BoxError`] name [`ByBox`]: `HttpBreakerLayer<ByHttpStatus, ByBox>`, and the same in the
///   type of a response body.
/// - **Code that is generic over a service** has a bound `S::Error: std::error::Error + 'static`, or a parameter `K` and
///   a bound `S::Error: Cause<K>`. Code with the bound `S::Error: Into<BoxError>` puts
///   `.map_err(Into::<BoxError>::into)` inside of the layers.
/// - **A function that returns layers for any service** has a parameter `K`, which its caller's service decides.
///
/// If the compiler only reports that `oneshot` or `ready` "cannot be called due to unsatisfied trait bounds", call
/// `tower::ServiceExt::<http::Request<B>>::oneshot(service, request)`: that error names the type at fault.
///
/// # Example
/// ```
/// use campanile::error::Cause;
///
/// fn is_refused<K>(error: &impl Cause<K>) -> bool {
///     error.ask(|error| {
///         let io = error.downcast_ref::<std::io::Error>();
///         io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused)
///     })
/// }
///
/// let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// assert!(is_refused(&refused()));
/// assert!(is_refused(&tower::BoxError::from(refused())));
/// assert!(!is_refused(&"text"));
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error whose causes can be read",
    label = "this error type has to implement `std::error::Error`",
    note = "`std::error::Error + 'static` works, and so do `tower::BoxError`, `String` and `&str`",
    note = "map any other error type of a service to one of them, for example with `map_err`",
    note = "`call_with` and `run_with` take any error type, and your own classifier"
)]
pub trait Cause<K> {
    /// Calls `ask` with the error. A text becomes an error without a source.
    fn ask<R>(&self, ask: impl FnOnce(&(dyn Error + 'static)) -> R) -> R;
}

/// Marks a type that implements [`Error`]: see [`Cause`].
#[derive(Clone, Copy, Debug)]
pub struct ByError(Infallible);

/// Marks a box of an error: see [`Cause`].
#[derive(Clone, Copy, Debug)]
pub struct ByBox(Infallible);

/// Marks a text: see [`Cause`].
#[derive(Clone, Copy, Debug)]
pub struct ByText(Infallible);

#[diagnostic::do_not_recommend]
impl<E: Error + 'static> Cause<ByError> for E {
    fn ask<R>(&self, ask: impl FnOnce(&(dyn Error + 'static)) -> R) -> R {
        ask(self)
    }
}

macro_rules! causes {
    ($marker:ty: $($error:ty = |$this:ident| $boxed:expr;)*) => { $(
        impl Cause<$marker> for $error {
            fn ask<R>(&self, ask: impl FnOnce(&(dyn Error + 'static)) -> R) -> R {
                let $this = self;
                ask($boxed.as_ref())
            }
        }

        impl Cause<$marker> for CallError<$error> {
            fn ask<R>(&self, ask: impl FnOnce(&(dyn Error + 'static)) -> R) -> R {
                match self {
                    Self::Rejected(rejected) => ask(rejected),
                    Self::TimedOut(timed_out) => ask(timed_out),
                    Self::Inner(error) => error.ask(ask),
                }
            }
        }
    )* };
}

causes! { ByBox:
    BoxError = |error| error;
    Box<dyn Error + Send> = |error| error;
    Box<dyn Error> = |error| error;
}

causes! { ByText:
    String = |text| BoxError::from(text.as_str());
    &str = |text| BoxError::from(*text);
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::base::error::{RejectReason, Rejected, find_cause};

    fn finds<K>(error: &impl Cause<K>) -> bool {
        error.ask(|error| find_cause::<io::Error>(error).is_some())
    }

    fn says<K>(error: &impl Cause<K>) -> String {
        error.ask(ToString::to_string)
    }

    #[test]
    fn the_causes_of_every_kind_of_error_can_be_read() {
        let io = || io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(finds(&io()) && finds(&CallError::Inner(io())));
        assert!(finds(&BoxError::from(io())) && finds(&CallError::Inner(BoxError::from(io()))));
        let (sent, any): (Box<dyn Error + Send>, Box<dyn Error>) = (Box::new(io()), Box::new(io()));
        assert!(finds(&sent) && finds(&any) && finds(&CallError::Inner(any)));
        assert!(finds(&std::sync::Arc::new(io())));

        assert_eq!(says(&"text"), "text");
        assert_eq!(says(&CallError::Inner("text".to_owned())), "text");
        let rejected = Rejected::new("a", RejectReason::Open, None);
        assert_eq!(says(&CallError::<&str>::Rejected(rejected.clone())), rejected.to_string());
    }
}
