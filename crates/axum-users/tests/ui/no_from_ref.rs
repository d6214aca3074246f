use axum::{Router, routing::get};
use axum_users::CurrentUser;

#[derive(Clone)]
struct App;

async fn hello(user: CurrentUser<()>) -> String {
    user.email.to_string()
}

fn main() {
    let _: Router = Router::new().route("/", get(hello)).with_state(App);
}
