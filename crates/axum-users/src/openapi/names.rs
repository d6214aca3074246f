//! The rules by which operations and fields get their names.

/// The route name and the path, everything but letters, digits and `_` as `_`, and the method.
pub(super) fn operation_id(name: &str, path: &str, method: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    format!("{}_{method}", format!("{name}{path}").chars().map(plain).collect::<String>())
}

/// The route name with blanks for `_`, each word capitalised; a word starts after anything but a letter.
pub(super) fn summary(name: &str) -> String {
    let mut text = String::new();
    for character in name.chars().map(|c| if c == '_' { ' ' } else { c }) {
        let starts_word = !text.ends_with(|c: char| c.is_alphabetic());
        if starts_word { text.extend(character.to_uppercase()) } else { text.extend(character.to_lowercase()) }
    }
    text
}

/// The title of a field, as Pydantic writes it: the same rule, without blanks around.
pub(super) fn title(name: &str) -> String {
    summary(name).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_ids_and_summaries_follow_the_route_name() {
        let id = operation_id("auth:jwt.login", "/auth/jwt/login", "post");
        assert_eq!(id, "auth_jwt_login_auth_jwt_login_post");
        assert_eq!(operation_id("users:patch_user", "/users/{id}", "patch"), "users_patch_user_users__id__patch");
        assert_eq!(summary("auth:jwt.login"), "Auth:Jwt.Login");
        assert_eq!(summary("users:patch_current_user"), "Users:Patch Current User");
        assert_eq!(summary("verify:request-token"), "Verify:Request-Token");
    }

    #[test]
    fn titles_are_those_of_pydantic() {
        let titles = [
            ("id", "Id"),
            ("first_name", "First Name"),
            ("firstName", "Firstname"),
            ("oauth2_id", "Oauth2 Id"),
            ("line2b", "Line2B"),
            ("plan_", "Plan"),
            ("a__b", "A  B"),
        ];
        for (name, expected) in titles {
            assert_eq!(title(name), expected, "{name}");
        }
    }
}
