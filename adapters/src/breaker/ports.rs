//! Ports behind circuits: each call goes through the circuit of its provider, and what is answered comes
//! through fit to be stored. Beside each port stands which calls it has, and whom each of them asks.

use super::Breakers;
use ocim_domain::port_error::PortError;
use ocim_domain::text::make_storable;
use std::sync::Arc;

/// A port behind circuits.
#[derive(Debug)]
pub struct Guarded<P: ?Sized> {
    pub(crate) inner: Arc<P>,
    breakers: Breakers,
    provider: String,
}

impl<P: ?Sized> Guarded<P> {
    /// A port of one provider, which is called so, e.g. `region north`.
    #[must_use]
    pub fn new(inner: Arc<P>, breakers: &Breakers, provider: impl Into<String>) -> Self {
        Self { inner, breakers: breakers.clone(), provider: provider.into() }
    }

    /// A port of many providers: each call says which one it asks.
    #[must_use]
    pub fn per_call(inner: Arc<P>, breakers: &Breakers) -> Self {
        Self::new(inner, breakers, "")
    }

    /// Gives work to whom it asks, unless that is paused.
    pub(crate) async fn orders<T: Answer>(
        &self,
        asked: Asked,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        match &asked {
            Asked::Own => self.breakers.check_paused(&self.provider)?,
            Asked::Provider(provider) => self.breakers.check_paused(provider)?,
            Asked::Nobody => {}
        }
        self.asks(asked, call).await
    }

    /// Makes a call through the circuit of whom it asks, whom any error names.
    pub(crate) async fn asks<T: Answer>(
        &self,
        asked: Asked,
        call: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let provider = match asked {
            Asked::Own => &self.provider,
            Asked::Provider(ref provider) => provider,
            Asked::Nobody => return Ok(call.await?.made_storable()),
        };
        let answer = self.breakers.of(provider).call(call).await;
        Ok(answer.map_err(|error| error.naming(provider))?.made_storable())
    }
}

/// Whom a call asks.
pub(crate) enum Asked {
    /// The port's own provider.
    Own,
    /// The one of this name.
    Provider(String),
    /// What it is about is on this machine.
    Nobody,
}

/// What a provider answers.
pub(crate) trait Answer: Sized {
    /// The same, fit to be stored.
    fn made_storable(self) -> Self {
        self
    }
}

impl Answer for () {}
impl Answer for bool {}
impl Answer for u64 {}
impl Answer for ocim_domain::provisioning::Ran {}

impl Answer for String {
    fn made_storable(self) -> Self {
        make_storable(&self).into_owned()
    }
}

impl<T: Answer> Answer for Option<T> {
    fn made_storable(self) -> Self {
        self.map(T::made_storable)
    }
}

impl<T: Answer> Answer for Vec<T> {
    fn made_storable(self) -> Self {
        self.into_iter().map(T::made_storable).collect()
    }
}

impl<T: Answer, U: Answer> Answer for (T, U) {
    fn made_storable(self) -> Self {
        (self.0.made_storable(), self.1.made_storable())
    }
}

/// Puts a port behind circuits, by its calls: what `orders` work, and what only `asks`. Those of the first
/// block ask nobody, and do not wait. What is left out does not compile, as no method of a port has a
/// body in the trait.
macro_rules! guarded {
    ($port:ident {
        $($told:ident($($told_argument:ident: $told_type:ty),*) -> $told_answer:ty;)*
    } {
        $($call:ident($($argument:ident: $type:ty),*) -> $answer:ty, $way:ident $asked:expr;)*
    }) => {
        #[::async_trait::async_trait]
        impl $port for $crate::breaker::Guarded<dyn $port> {
            $(fn $told(&self, $($told_argument: $told_type),*) -> $told_answer {
                self.inner.$told($($told_argument),*)
            })*

            $(async fn $call(&self, $($argument: $type),*)
                -> Result<$answer, ::ocim_domain::port_error::PortError>
            {
                self.$way($asked, self.inner.$call($($argument),*)).await
            })*
        }
    };
}
pub(crate) use guarded;
