//! Pointers to a backend are backends: `Arc<B>`, `Box<B>` and `&B`, for `dyn Backend` too.
//!
//! Written out where `#[async_trait]` would do, for that puts each future into another box: what the
//! backend itself returns is passed on as it is.

use std::sync::Arc;

use crate::{
    Backend, BackendStats, HealthAwareBackend, ObservableBackend, ReconnectCallback, Result,
};

/// Implements [`Backend`], [`HealthAwareBackend`] and [`ObservableBackend`] for a type that holds a
/// backend and adds nothing to it: every method is passed on, with its future, in no second box.
///
/// For a public type around an inner one, such as an adapter around the machinery that it shares
/// with others. A wrapper that changes something implements the traits by itself, and passes on
/// [`as_health_aware`](Backend::as_health_aware) and [`as_observable`](Backend::as_observable), too.
///
/// ```
/// use backend_core::{Backend, HealthAwareBackend, forward_backend};
/// use backend_memory::MemoryBackend;
///
/// pub struct Bus {
///     inner: MemoryBackend,
/// }
///
/// forward_backend!(Bus => inner);
///
/// let bus = Bus { inner: MemoryBackend::new() };
/// assert!(bus.is_healthy() && bus.as_observable().is_some());
/// ```
#[macro_export]
macro_rules! forward_backend {
    ($wrapper:ty => $inner:tt) => {
        impl $crate::Backend for $wrapper {
            $crate::forward_backend!(@backend self => self.$inner);
        }

        impl $crate::HealthAwareBackend for $wrapper {
            fn is_healthy(&self) -> bool {
                $crate::HealthAwareBackend::is_healthy(&self.$inner)
            }

            fn on_reconnect(&self, callback: $crate::ReconnectCallback) {
                $crate::HealthAwareBackend::on_reconnect(&self.$inner, callback);
            }
        }

        impl $crate::ObservableBackend for $wrapper {
            fn stats(&self) -> $crate::BackendStats {
                $crate::ObservableBackend::stats(&self.$inner)
            }
        }
    };
    (@backend $this:ident => $inner:expr) => {
        fn publish<'a, 'b>(
            &'a $this,
            envelope: $crate::MessageEnvelope,
        ) -> $crate::forward::Boxed<'b, ()>
        where
            'a: 'b,
            Self: 'b,
        {
            $crate::Backend::publish(&$inner, envelope)
        }

        fn subscribe<'a, 'b, 'c>(
            &'a $this,
            topic: &'b str,
        ) -> $crate::forward::Boxed<'c, $crate::Subscription>
        where
            'a: 'c,
            'b: 'c,
            Self: 'c,
        {
            $crate::Backend::subscribe(&$inner, topic)
        }

        fn unsubscribe<'a, 'b, 'c>(&'a $this, topic: &'b str) -> $crate::forward::Boxed<'c, ()>
        where
            'a: 'c,
            'b: 'c,
            Self: 'c,
        {
            $crate::Backend::unsubscribe(&$inner, topic)
        }

        fn close<'a, 'b>(&'a $this) -> $crate::forward::Boxed<'b, ()>
        where
            'a: 'b,
            Self: 'b,
        {
            $crate::Backend::close(&$inner)
        }

        fn as_health_aware(&$this) -> ::core::option::Option<&dyn $crate::HealthAwareBackend> {
            $crate::Backend::as_health_aware(&$inner)
        }

        fn as_observable(&$this) -> ::core::option::Option<&dyn $crate::ObservableBackend> {
            $crate::Backend::as_observable(&$inner)
        }
    };
}

/// What the methods of [`Backend`] return.
#[doc(hidden)]
pub type Boxed<'a, T> = std::pin::Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

macro_rules! forward {
    ($($pointer:ty),* $(,)?) => {$(
        impl<B: Backend + ?Sized> Backend for $pointer {
            forward_backend!(@backend self => **self);
        }

        impl<B: HealthAwareBackend + ?Sized> HealthAwareBackend for $pointer {
            fn is_healthy(&self) -> bool {
                (**self).is_healthy()
            }

            fn on_reconnect(&self, callback: ReconnectCallback) {
                (**self).on_reconnect(callback);
            }
        }

        impl<B: ObservableBackend + ?Sized> ObservableBackend for $pointer {
            fn stats(&self) -> BackendStats {
                (**self).stats()
            }
        }
    )*};
}

forward!(Arc<B>, Box<B>, &B);
