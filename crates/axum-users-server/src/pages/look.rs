//! What pages look like: templates, texts, the style sheet, and what belongs to a house.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use aws_lc_rs::digest::{SHA256, digest};
use axum_users::{error_chain, random};
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, escape_formatter};

use super::{colour::Colour, object, texts::Texts};

/// Templates, each name once, and the texts and the style sheet, which are none.
const BUILT_IN: [(&str, &str); 11] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("fields.html", include_str!("templates/fields.html")),
    ("sign_in.html", include_str!("templates/sign_in.html")),
    ("sign_up.html", include_str!("templates/sign_up.html")),
    ("ask_for_mail.html", include_str!("templates/ask_for_mail.html")),
    ("verify.html", include_str!("templates/verify.html")),
    ("reset_password.html", include_str!("templates/reset_password.html")),
    ("account.html", include_str!("templates/account.html")),
    ("message.html", include_str!("templates/message.html")),
    ("mailbox.html", include_str!("templates/mailbox.html")),
    ("mail.html", include_str!("templates/mail.html")),
];
const TEXTS: &str = "texts.toml";
const STYLE: &str = "style.css";
const OWN_STYLE: &str = include_str!("templates/style.css");
const LOGO: &str = "/pages/logo";
const SCRIPT: &str = include_str!("templates/pages.js");
/// What a tab shows where there is no logo.
const ICON: &str = include_str!("templates/icon.svg");
/// A logo is small; a larger file is a mistake.
const MAX_LOGO_BYTES: u64 = 512 << 10;

/// What belongs to a house.
#[derive(Clone, Debug, Default)]
pub(crate) struct House {
    pub(crate) product_name: String,
    pub(crate) accent_color: Option<String>,
    pub(crate) logo_file: Option<String>,
    pub(crate) templates: Option<String>,
    /// What they are called, and where they lead.
    pub(crate) footer: Vec<(String, String)>,
    /// What stands before our paths for those who come through a proxy; empty, or `/users`.
    pub(crate) base: String,
}

/// Ready to be rendered.
pub(crate) struct Look {
    pub(super) texts: Texts,
    pub(super) base: String,
    environment: Environment<'static>,
    globals: Vec<(&'static str, Value)>,
    assets: Vec<Asset>,
}

/// A file that pages ask for.
#[derive(Clone, Debug)]
pub(super) struct Asset {
    pub(super) path: &'static str,
    pub(super) media_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

impl Look {
    /// Reads everything that is configured.
    ///
    /// # Errors
    /// The key that is wrong, and what is.
    pub(crate) fn new(house: &House) -> Result<Self, (&'static str, String)> {
        let mut sources: BTreeMap<String, String> =
            BUILT_IN.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        let (mut texts, mut style) = (None, OWN_STYLE.to_owned());
        if let Some(folder) = &house.templates {
            for (name, text) in read(Path::new(folder)).map_err(|problem| ("pages.templates", problem))? {
                match name.as_str() {
                    TEXTS => texts = Some(text),
                    // After ours, so that a few custom properties are a whole style.
                    STYLE => style = format!("{style}\n{text}"),
                    _ => drop(sources.insert(name, text)),
                }
            }
        }
        let texts =
            Texts::read(texts.as_deref()).map_err(|problem| ("pages.templates", format!("{TEXTS}: {problem}")))?;
        if let Some(colour) = &house.accent_color {
            let colour = Colour::parse(colour);
            let colour = colour.ok_or(("pages.accent_color", "should be a colour such as \"#2457d6\"".to_owned()))?;
            style.push_str(&colour.to_css());
        }
        let mut assets = vec![
            Asset { path: "/pages/style.css", media_type: "text/css; charset=utf-8", bytes: style.into() },
            Asset { path: "/pages/pages.js", media_type: "text/javascript; charset=utf-8", bytes: SCRIPT.into() },
        ];
        assets.push(match &house.logo_file {
            Some(file) => logo(file).map_err(|problem| ("pages.logo_file", problem))?,
            None => Asset { path: "/pages/icon", media_type: "image/svg+xml", bytes: ICON.into() },
        });
        let mut environment = environment();
        for (name, text) in sources {
            let added = environment.add_template_owned(name.clone(), text);
            added.map_err(|error| ("pages.templates", format!("{name}: {}", error_chain(&error))))?;
        }
        let globals = globals(house, &texts, &assets);
        Ok(Self { texts, base: house.base.clone(), environment, globals, assets })
    }

    /// A page. The nonce is the one that its policy names.
    pub(super) fn render(
        &self,
        template: &str,
        nonce: &str,
        values: &BTreeMap<&'static str, Value>,
    ) -> Result<String, minijinja::Error> {
        let mut all: BTreeMap<&'static str, Value> = self.globals.iter().cloned().collect();
        all.insert("nonce", Value::from(nonce));
        all.extend(values.iter().map(|(name, value)| (*name, value.clone())));
        self.environment.get_template(template)?.render(object(all))
    }

    pub(super) fn assets(&self) -> &[Asset] {
        &self.assets
    }

    /// The name of every page.
    pub(super) fn templates() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name).filter(|name| !matches!(*name, "layout.html" | "fields.html"))
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("base", &self.base).finish_non_exhaustive()
    }
}

fn globals(house: &House, texts: &Texts, assets: &[Asset]) -> Vec<(&'static str, Value)> {
    let base = &house.base;
    let url = |path: &str| {
        let asset = assets.iter().find(|asset| asset.path.starts_with(path));
        asset.map_or(String::new(), |asset| format!("{base}{}?v={}", asset.path, asset.version()))
    };
    let footer = house.footer.iter().map(|(label, url)| object([("label", label.as_str()), ("url", url.as_str())]));
    vec![
        ("t", texts.to_value()),
        ("base", Value::from(base.as_str())),
        ("product_name", Value::from(house.product_name.as_str())),
        ("footer", footer.collect::<Vec<_>>().into()),
        ("style_url", url("/pages/style.css").into()),
        ("script_url", url("/pages/pages.js").into()),
        ("logo_url", url(LOGO).into()),
        ("icon_url", if house.logo_file.is_some() { url(LOGO) } else { url("/pages/icon") }.into()),
    ]
}

impl Asset {
    /// Another one for other bytes, so that browsers may keep them for ever.
    fn version(&self) -> String {
        let hash = digest(&SHA256, &self.bytes);
        hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A nonce of 128 bits (CSP level 3, section 2.3.1).
pub(super) fn nonce() -> String {
    random::short_token()
}

fn logo(file: &str) -> Result<Asset, String> {
    let suffix = Path::new(file).extension().and_then(|suffix| suffix.to_str()).unwrap_or_default();
    let media_type = match suffix.to_ascii_lowercase().as_str() {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        _ => return Err("should be a file .svg, .png, .jpg or .webp".into()),
    };
    let size = fs::metadata(file).map_err(|error| format!("{file} cannot be read: {error}"))?.len();
    if size > MAX_LOGO_BYTES {
        return Err(format!("{file} has more than {MAX_LOGO_BYTES} bytes"));
    }
    let bytes = fs::read(file).map_err(|error| format!("{file} cannot be read: {error}"))?;
    Ok(Asset { path: LOGO, media_type, bytes })
}

/// All files of a folder. What is called otherwise is a mistake in a name, but for hidden files.
fn read(folder: &Path) -> Result<Vec<(String, String)>, String> {
    let unreadable = |path: &Path, error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let entry = entry.map_err(|error| unreadable(folder, error))?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if name.starts_with('.') {
            continue;
        }
        if name != TEXTS && name != STYLE && !BUILT_IN.iter().any(|(known, _)| *known == name) {
            let known: Vec<&str> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            return Err(format!("{}: there are {TEXTS}, {STYLE}, {}", path.display(), known.join(", ")));
        }
        found.push((name, fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?));
    }
    Ok(found)
}

/// What is not there cannot be printed, but it can be asked for.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_formatter(escape_formatter);
    environment
}
