//! Where an attempt has its application from: one for all, or one of its own.

use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use crate::context::Context;
use crate::task_error::Result;

type Making<App> = Pin<Box<dyn Future<Output = Result<App>> + Send>>;

/// What gives each attempt its application.
pub(super) enum Source<App> {
    /// The same for all.
    Shared(Arc<App>),
    /// A new one for each.
    Scoped(Arc<dyn Fn(Context) -> Making<App> + Send + Sync>),
}

impl<App> Source<App> {
    pub(super) fn scoped<F, M>(make: F) -> Self
    where
        F: Fn(Context) -> M + Send + Sync + 'static,
        M: Future<Output = Result<App>> + Send + 'static,
    {
        Self::Scoped(Arc::new(move |cx| Box::pin(make(cx))))
    }

    /// The application of this attempt. What goes wrong in making it is the
    /// attempt's failure.
    pub(super) async fn get(&self, cx: &Context) -> Result<Held<App>> {
        match self {
            Self::Shared(app) => Ok(Held::Shared(Arc::clone(app))),
            Self::Scoped(make) => match make(cx.clone()).await {
                Ok(app) => Ok(Held::Own(app)),
                Err(error) => Err(error.context("cannot make the application of this attempt")),
            },
        }
    }
}

impl<App> Clone for Source<App> {
    fn clone(&self) -> Self {
        match self {
            Self::Shared(app) => Self::Shared(Arc::clone(app)),
            Self::Scoped(make) => Self::Scoped(Arc::clone(make)),
        }
    }
}

/// An application in the hands of one attempt. Its own ends with it, however it ends.
pub(super) enum Held<App> {
    Shared(Arc<App>),
    Own(App),
}

impl<App> Deref for Held<App> {
    type Target = App;

    fn deref(&self) -> &App {
        match self {
            Self::Shared(app) => app,
            Self::Own(app) => app,
        }
    }
}
