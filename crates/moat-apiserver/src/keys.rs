//! The cluster's keys: made new, or kept in a directory so that certificates and tokens outlive the server.

use crate::authn::SigningKey;
use crate::pki::{Authority, DAYS, Identity};
use crate::server::StartError;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

/// The administrator's certificate is renewed when it has less time than this.
const RENEW_SECONDS: i64 = 30 * 24 * 3600;
/// Bytes of a file of keys that are read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The name of the administrator, and the group that may do everything.
const ADMIN: (&str, &str) = ("kubernetes-admin", "system:masters");

/// What makes a cluster the same one after a restart: its authority, the key that signs tokens, the administrator's identity.
#[derive(Debug)]
pub struct Keys {
    pub(crate) authority: Authority,
    pub(crate) signing: SigningKey,
    pub(crate) admin: Identity,
}

impl Keys {
    /// New keys, which are nowhere but in memory.
    ///
    /// Errors: no key can be made.
    pub fn generate() -> Result<Self, StartError> {
        let authority = Authority::new()
            .map_err(|error| StartError::new("cannot make a certificate authority", &error))?;
        let signing = SigningKey::generate()
            .map_err(|error| StartError::new("cannot make a key for tokens", &error))?;
        let admin = admin(&authority)?;
        Ok(Self { authority, signing, admin })
    }

    /// The keys of a directory, in kubeadm's files: `ca.crt`, `ca.key`, `sa.key`, `sa.pub`, `admin.crt`, `admin.key`. What is missing is made
    /// and written, only for the owner; an administrator's certificate that ends soon or is of another authority is renewed.
    ///
    /// Errors: a file cannot be read or written, others may read a key, half of a pair is missing, a key is not that of its certificate,
    /// or the authority has expired.
    pub fn open(dir: &Path) -> Result<Self, StartError> {
        let at = |error: String| StartError::new(&format!("keys in {}", dir.display()), &error);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(|error| at(error.to_string()))?;
        Self::opened(dir).map_err(at)
    }

    fn opened(dir: &Path) -> Result<Self, String> {
        let authority = if let Some((certificate, key)) = pair(dir, "ca")? {
            Authority::from_pem(certificate, &key).map_err(|error| format!("ca.crt: {error}"))?
        } else {
            let authority = Authority::new()?;
            write(dir, "ca.key", &authority.key_pem())?;
            write(dir, "ca.crt", authority.pem())?;
            authority
        };
        let signing = if let Some(key) = read(dir, "sa.key")? {
            SigningKey::from_pem(&key).map_err(|error| format!("sa.key: {error}"))?
        } else {
            let signing = SigningKey::generate()?;
            write(dir, "sa.key", signing.pem())?;
            signing
        };
        if read(dir, "sa.pub")?.as_deref() != Some(signing.public_pem()) {
            write(dir, "sa.pub", signing.public_pem())?;
        }
        let kept = match pair(dir, "admin")? {
            Some((certificate, key)) => Some(
                Identity::from_pem(certificate, key)
                    .map_err(|error| format!("admin.crt: {error}"))?,
            ),
            None => None,
        };
        let soon = jiff::Timestamp::now().as_second() + RENEW_SECONDS;
        let good = |own: &Identity| soon < own.until() && authority.signed(own);
        let admin = match kept.filter(good) {
            Some(admin) => admin,
            None => {
                let admin = admin(&authority).map_err(|error| error.to_string())?;
                write(dir, "admin.key", &admin.key_pem)?;
                write(dir, "admin.crt", &admin.certificate_pem)?;
                admin
            }
        };
        Ok(Self { authority, signing, admin })
    }
}

fn admin(authority: &Authority) -> Result<Identity, StartError> {
    let made = authority.client(ADMIN.0, Some(ADMIN.1), DAYS);
    made.map_err(|error| StartError::new("cannot make the administrator's certificate", &error))
}

/// A certificate and its key, or neither. A key alone is what a crash between the two leaves, so it is made anew.
fn pair(dir: &Path, name: &str) -> Result<Option<(String, String)>, String> {
    let (certificate, key) = (format!("{name}.crt"), format!("{name}.key"));
    match (read(dir, &certificate)?, read(dir, &key)?) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (Some(_), None) => Err(format!("{certificate} is there without {key}")),
        (None, _) => Ok(None),
    }
}

fn read(dir: &Path, name: &str) -> Result<Option<String>, String> {
    let file = match fs::File::open(dir.join(name)) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{name}: {error}")),
    };
    let say = |error: std::io::Error| format!("{name}: {error}");
    let mode = file.metadata().map_err(say)?.permissions().mode() & 0o777;
    if Path::new(name).extension().is_some_and(|end| end == "key") && mode & 0o077 != 0 {
        return Err(format!("{name} can be read by others (mode {mode:03o}); chmod 600 it"));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(say)?;
    Ok(Some(text))
}

/// Writes a whole file or none: beside, to the disk, then in place.
fn write(dir: &Path, name: &str, text: &str) -> Result<(), String> {
    let beside = dir.join(format!(".{name}.{}", crate::stamp::uid()));
    let put = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, dir.join(name))?;
        fs::File::open(dir)?.sync_all()
    };
    put().map_err(|error: std::io::Error| {
        let _ = fs::remove_file(&beside);
        format!("{name}: {error}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Dir(PathBuf);

    impl Dir {
        fn new() -> Self {
            Self(std::env::temp_dir().join(format!("moat-keys-{}", crate::stamp::uid())))
        }

        fn error(&self) -> String {
            let text = Keys::open(&self.0).unwrap_err().to_string();
            text.replace(&self.0.display().to_string(), "DIR")
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn keys_are_the_same_when_opened_again() {
        let dir = Dir::new();
        let first = Keys::open(&dir.0).unwrap();
        let again = Keys::open(&dir.0).unwrap();
        assert_eq!(first.authority.pem(), again.authority.pem());
        assert_eq!(first.admin.certificate_pem, again.admin.certificate_pem);
        let token = first.signing.sign(&serde_json::json!({})).unwrap();
        assert!(again.signing.verify(&token).is_some());
        let mut names: Vec<String> = Vec::new();
        for entry in fs::read_dir(&dir.0).unwrap().map(Result::unwrap) {
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{:?}", entry.path());
            names.push(entry.file_name().into_string().unwrap());
        }
        names.sort();
        assert_eq!(names, ["admin.crt", "admin.key", "ca.crt", "ca.key", "sa.key", "sa.pub"]);
    }

    #[test]
    fn an_identity_of_another_authority_or_near_its_end_is_renewed() {
        let dir = Dir::new();
        let first = Keys::open(&dir.0).unwrap();
        let other = Authority::new().unwrap().client("a", None, DAYS).unwrap();
        let ending = first.authority.client("a", None, 5).unwrap();
        for replaced in [other, ending] {
            write(&dir.0, "admin.key", &replaced.key_pem).unwrap();
            write(&dir.0, "admin.crt", &replaced.certificate_pem).unwrap();
            let again = Keys::open(&dir.0).unwrap();
            assert_ne!(again.admin.certificate_pem, replaced.certificate_pem);
            assert!(again.authority.signed(&again.admin));
        }
    }

    #[test]
    fn what_cannot_be_trusted_is_refused() {
        let dir = Dir::new();
        drop(Keys::open(&dir.0).unwrap());
        let key = dir.0.join("sa.key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(
            dir.error(),
            "keys in DIR: sa.key can be read by others (mode 640); chmod 600 it"
        );
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let other = Authority::new().unwrap();
        write(&dir.0, "ca.key", &other.key_pem()).unwrap();
        assert_eq!(dir.error(), "keys in DIR: ca.crt: the key is not that of the certificate");
        fs::remove_file(dir.0.join("ca.key")).unwrap();
        assert_eq!(dir.error(), "keys in DIR: ca.crt is there without ca.key");
    }
}
