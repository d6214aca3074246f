//! stub
use super::*;
/// x
pub struct JwtKey;
/// x
pub struct JwtStrategy;
impl<P: UserProfile> Strategy<P> for JwtStrategy {
    async fn read_token(&self, _t: &str, _u: &UserManager<P>) -> Result<Option<TokenOwner<P>>, Error> {
        Ok(None)
    }
    async fn write_token(&self, _p: &Authenticated<P>, _u: &UserManager<P>) -> Result<Secret, Error> {
        Ok(crate::random::token())
    }
    async fn destroy_token(&self, _t: &str, _o: &TokenOwner<P>, _u: &UserManager<P>) -> Result<(), Error> {
        Ok(())
    }
}
