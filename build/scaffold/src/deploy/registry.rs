//! Registries from which the platform accepts images: Tencent's own, personal and enterprise, "in
//! the region of the function" ("WebServer image function", 2023-07-10). The table comes from a
//! chart of Tencent's own container service (tkestack/charts, incubator/opentelemetry-operator,
//! `regionRepositoryMap`). Its default is the mainland's one registry, which is hosted in Guangzhou
//! (qcloud-documents, Container Registry, personal edition).

/// Personal registries other than the mainland's, each with its one region.
const REGIONAL: [(&str, &str); 16] = [
    ("bjjrccr.ccs.tencentyun.com", "ap-beijing-fsi"),
    ("caccr.ccs.tencentyun.com", "na-toronto"),
    ("deccr.ccs.tencentyun.com", "eu-frankfurt"),
    ("hkccr.ccs.tencentyun.com", "ap-hongkong"),
    ("inccr.ccs.tencentyun.com", "ap-mumbai"),
    ("jktccr.ccs.tencentyun.com", "ap-jakarta"),
    ("jpccr.ccs.tencentyun.com", "ap-tokyo"),
    ("krccr.ccs.tencentyun.com", "ap-seoul"),
    ("saoccr.ccs.tencentyun.com", "sa-saopaulo"),
    ("sgccr.ccs.tencentyun.com", "ap-singapore"),
    ("shjrccr.ccs.tencentyun.com", "ap-shanghai-fsi"),
    ("szjrccr.ccs.tencentyun.com", "ap-shenzhen-fsi"),
    ("thccr.ccs.tencentyun.com", "ap-bangkok"),
    ("tpeccr.ccs.tencentyun.com", "ap-taipei"),
    ("useccr.ccs.tencentyun.com", "na-ashburn"),
    ("uswccr.ccs.tencentyun.com", "na-siliconvalley"),
];
/// Regions of the mainland, for suggestions only: a missing one is refused nowhere.
const MAINLAND_REGIONS: [&str; 6] =
    ["ap-beijing", "ap-chengdu", "ap-chongqing", "ap-guangzhou", "ap-nanjing", "ap-shanghai"];
/// The personal registry of every other region.
pub const MAINLAND: &str = "ccr.ccs.tencentyun.com";
/// Suffix of personal registries, including those of regions that the table does not have yet.
const PERSONAL: &str = "ccr.ccs.tencentyun.com";
/// Suffix of enterprise registries: `NAME.tencentcloudcr.com`, and `NAME-vpc.` of it for the
/// private network. The name does not contain the region.
const ENTERPRISE: &str = ".tencentcloudcr.com";

/// Kind of a registry of Tencent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registry {
    /// A personal one.
    Personal,
    /// An enterprise one.
    Enterprise,
}

/// Why the platform does not accept an image from a registry.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// A registry that is not Tencent's.
    #[error(
        "the platform accepts images of Tencent's own registries only, and `{host}` is not one: \
         push it to {personal}/NAMESPACE/NAME:TAG (personal edition), or to \
         NAME.tencentcloudcr.com/NAMESPACE/NAME:TAG (enterprise edition, with `registry_id`)"
    )]
    Foreign {
        /// The registry.
        host: String,
        /// The personal registry of the function's region.
        personal: &'static str,
    },
    /// A registry of Tencent's in another region.
    #[error(
        "`{host}` is the personal registry of {there}, and the function is in {region}: the \
         platform accepts images of the function's own region only. Push it to {personal}, or set \
         `region` to {there_first}"
    )]
    Region {
        /// The registry.
        host: String,
        /// The regions of that registry.
        there: &'static str,
        /// One of them.
        there_first: &'static str,
        /// The function's region.
        region: String,
        /// The personal registry of the function's region.
        personal: &'static str,
    },
}

impl Registry {
    /// The kind of a host; `None` if it is not Tencent's.
    ///
    /// # Example
    /// ```
    /// use scaffold::deploy::registry::Registry;
    /// assert_eq!(Registry::of("hkccr.ccs.tencentyun.com"), Some(Registry::Personal));
    /// assert_eq!(Registry::of("team-vpc.tencentcloudcr.com"), Some(Registry::Enterprise));
    /// assert_eq!(Registry::of("docker.io"), None);
    /// ```
    pub fn of(host: &str) -> Option<Registry> {
        let is_label = |text: &str| {
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        if host.strip_suffix(PERSONAL).is_some_and(is_label) {
            return Some(Registry::Personal);
        }
        let name = host.strip_suffix(ENTERPRISE)?;
        (!name.is_empty() && is_label(name)).then_some(Registry::Enterprise)
    }

    /// Checks an image's registry against the function's region. Only the platform knows an
    /// enterprise registry's region.
    ///
    /// # Errors
    /// [`RegistryError`] says what to do.
    pub fn check(host: &str, region: &str) -> Result<Registry, RegistryError> {
        let personal = personal(region);
        let Some(registry) = Registry::of(host) else {
            return Err(RegistryError::Foreign { host: host.to_owned(), personal });
        };
        if registry == Registry::Enterprise {
            return Ok(registry);
        }
        let place = REGIONAL.iter().find(|(name, _)| *name == host).map(|(_, region)| *region);
        let is_there = match place {
            Some(place) => place == region,
            // A registry that the table does not have may belong to a region that it does not have.
            None => host == personal || (host != MAINLAND && personal == MAINLAND),
        };
        if is_there {
            return Ok(registry);
        }
        let (there, there_first) = match place {
            Some(place) => (place, place),
            None if host == MAINLAND => ("the regions of mainland China", "ap-guangzhou"),
            None => ("a region that this program does not know", "that region"),
        };
        Err(RegistryError::Region {
            host: host.to_owned(),
            there,
            there_first,
            region: region.to_owned(),
            personal,
        })
    }
}

/// The known region that is most like `region`, if that is not one itself. The cloud gets new
/// regions, so an unknown one is a reason for a remark and not for a refusal.
pub fn unknown_region(region: &str) -> Option<&'static str> {
    let known = || REGIONAL.iter().map(|(_, region)| *region).chain(MAINLAND_REGIONS);
    if known().any(|known| known == region) {
        return None;
    }
    let close = |known: &&str| strsim::jaro_winkler(known, region);
    known().max_by(|a, b| close(a).total_cmp(&close(b)))
}

/// The personal registry of a region.
fn personal(region: &str) -> &'static str {
    REGIONAL.iter().find(|(_, place)| *place == region).map_or(MAINLAND, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_region_has_a_known_one_beside_it() {
        assert_eq!(unknown_region("ap-guangzhou"), None);
        assert_eq!(unknown_region("ap-hongkong"), None);
        for (typed, meant) in [
            ("ap-guangzou", "ap-guangzhou"),
            ("cn-beijing", "ap-beijing"),
            ("AP-Shanghai", "ap-shanghai"),
            ("ap-singapur", "ap-singapore"),
        ] {
            assert_eq!(unknown_region(typed), Some(meant), "{typed}");
        }
    }

    #[test]
    fn tencents_own_registries_of_the_functions_region_are_accepted() {
        for (host, region, expected) in [
            ("ccr.ccs.tencentyun.com", "ap-guangzhou", Registry::Personal),
            ("ccr.ccs.tencentyun.com", "ap-shanghai", Registry::Personal),
            ("ccr.ccs.tencentyun.com", "ap-chengdu", Registry::Personal),
            ("hkccr.ccs.tencentyun.com", "ap-hongkong", Registry::Personal),
            ("useccr.ccs.tencentyun.com", "na-ashburn", Registry::Personal),
            ("newccr.ccs.tencentyun.com", "ap-new", Registry::Personal),
            ("team.tencentcloudcr.com", "ap-hongkong", Registry::Enterprise),
            ("team-vpc.tencentcloudcr.com", "ap-guangzhou", Registry::Enterprise),
        ] {
            assert_eq!(Registry::check(host, region), Ok(expected), "{host} for {region}");
        }
        for (host, region) in REGIONAL {
            assert_eq!(Registry::check(host, region), Ok(Registry::Personal), "{host}");
        }
    }

    #[test]
    fn other_registries_are_refused_with_a_remedy() {
        for (host, region, words) in [
            (
                "docker.io",
                "ap-guangzhou",
                "`docker.io` is not one: push it to ccr.ccs.tencentyun.com/",
            ),
            ("ghcr.io", "ap-tokyo", "push it to jpccr.ccs.tencentyun.com/NAMESPACE"),
            ("127.0.0.1:5000", "ap-guangzhou", "Tencent's own registries only"),
            ("ccr.ccs.tencentyun.com.example.org", "ap-guangzhou", "is not one"),
            ("ccr.ccs.tencentyun.com:443", "ap-guangzhou", "is not one"),
            ("a.b.tencentcloudcr.com", "ap-guangzhou", "is not one"),
            ("tencentcloudcr.com", "ap-guangzhou", "is not one"),
            (".tencentcloudcr.com", "ap-guangzhou", "is not one"),
            ("x.ccr.ccs.tencentyun.com", "ap-guangzhou", "is not one"),
            ("mirror.ccs.tencentyun.com", "ap-guangzhou", "is not one"),
            (
                "hkccr.ccs.tencentyun.com",
                "ap-guangzhou",
                "is the personal registry of ap-hongkong, and the function is in ap-guangzhou: the \
                 platform accepts images of the function's own region only. Push it to \
                 ccr.ccs.tencentyun.com, or set `region` to ap-hongkong",
            ),
            (
                "ccr.ccs.tencentyun.com",
                "ap-hongkong",
                "of the regions of mainland China, and the function is in ap-hongkong",
            ),
            ("newccr.ccs.tencentyun.com", "ap-tokyo", "Push it to jpccr.ccs.tencentyun.com"),
            ("jpccr.ccs.tencentyun.com", "ap-new", "set `region` to ap-tokyo"),
        ] {
            let error = Registry::check(host, region).unwrap_err().to_string();
            assert!(error.contains(words), "{host} for {region}: {error}");
        }
    }
}
