//! The application that most are: whatever its policy says.

use super::{Application, Denied, Request};

/// See the module.
#[derive(Clone, Copy, Debug)]
pub struct Live;

impl Application for Live {
    fn may_publish(&self, request: Request<'_>) -> Result<(), Denied> {
        if request.policy.publish {
            return Ok(());
        }
        Err(Denied::Forbidden("publishing is turned off for this application"))
    }

    fn may_play(&self, request: Request<'_>) -> Result<(), Denied> {
        if request.policy.play {
            return Ok(());
        }
        Err(Denied::Forbidden("playing is turned off for this application"))
    }
}
