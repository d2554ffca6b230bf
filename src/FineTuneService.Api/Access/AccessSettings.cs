using System.ComponentModel.DataAnnotations;

namespace FineTuneService.Api.Access;

/// <summary>Section <c>Access</c>.</summary>
public sealed class AccessSettings
{
    /// <summary>The first key, with the scope admin. Default: one is made when there is none, and written to the file bootstrap-key in the data directory.</summary>
    [RegularExpression("ft_.{32,}", ErrorMessage = "Access:BootstrapKey must be ft_ and at least 32 characters that nobody can guess.")]
    public string? BootstrapKey { get; init; }

    /// <summary>Requests a minute and key; a tenth of them may come at once. Beyond it they are answered 429.</summary>
    [Range(1, int.MaxValue)]
    public int RequestsPerMinute { get; init; } = 60_000;

    /// <summary>Whether <c>/metrics</c> needs no key: for a Prometheus that has none, in a network where nobody else comes.</summary>
    public bool AnonymousMetrics { get; init; }

    public OidcSettings? Oidc { get; init; }
}

/// <summary>Section <c>Access:Oidc</c>: tokens of an OpenID Connect provider are accepted beside keys.</summary>
public sealed class OidcSettings
{
    /// <summary>The provider's address, under which its discovery document is found.</summary>
    public required string Authority { get; init; }
    public required string Audience { get; init; }

    /// <summary>The claim with the id of the caller's project.</summary>
    public string ProjectClaim { get; init; } = "finetune_project";

    /// <summary>The claim with the scopes, separated by blanks or one by one.</summary>
    public string ScopeClaim { get; init; } = "scope";

    /// <summary>Whether the provider must be asked over TLS.</summary>
    public bool RequireHttps { get; init; } = true;
}
