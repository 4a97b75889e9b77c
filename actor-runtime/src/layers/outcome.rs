//! How calls end, as short names for spans and metrics.

use std::borrow::Cow;

use crate::{call::Failure, service::Status};

/// The name of a call's end: `ok`, `application_error`, or the kind of the failure, such as `deadline_exceeded`.
pub(super) fn outcome(end: &Result<Status, Failure>) -> Cow<'static, str> {
    match end {
        Ok(Status::Replied) => Cow::Borrowed("ok"),
        Ok(Status::ApplicationError) => Cow::Borrowed("application_error"),
        Err(failure) => Cow::Owned(failure.kind().to_string().replace(' ', "_")),
    }
}

/// The name of the end of a call that was dropped.
pub(super) const DROPPED: &str = "cancelled";

/// What is known about the delivery, as a name without spaces.
pub(super) fn delivery(end: &Result<Status, Failure>) -> Cow<'static, str> {
    match end {
        Ok(_) => Cow::Borrowed("executed"),
        Err(failure) => Cow::Owned(failure.delivery().to_string().replace(' ', "_")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{Delivery, FailureKind};

    #[test]
    fn names_have_no_spaces() {
        let end = Err(Failure::new(FailureKind::DeadlineExceeded, Delivery::NotDelivered, ""));
        assert_eq!((&*outcome(&end), &*delivery(&end)), ("deadline_exceeded", "not_delivered"));
        assert_eq!(outcome(&Err(Failure::new(FailureKind::Cancelled, Delivery::Unknown, ""))), DROPPED);
        assert_eq!(outcome(&Ok(Status::ApplicationError)), "application_error");
    }
}
