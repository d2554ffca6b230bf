namespace FineTuneService.Storage;

/// <summary>Lets a program in. The key itself is shown once, when it is made; here is only its hash: it has 256 random bits, which nobody guesses, so that no slow hash is needed.</summary>
public sealed class ApiKey
{
    public required string Id { get; init; }
    public required string ProjectId { get; init; }
    public required string Name { get; init; }

    /// <summary>The first characters, by which people tell keys apart.</summary>
    public required string Prefix { get; init; }

    /// <summary>SHA-256 of the whole key, in hexadecimal.</summary>
    public required string Hash { get; init; }
    public required string[] Scopes { get; init; }
    public required DateTimeOffset CreatedAt { get; init; }
    public DateTimeOffset? ExpiresAt { get; init; }
    public DateTimeOffset? RevokedAt { get; set; }

    /// <summary>To the minute.</summary>
    public DateTimeOffset? LastUsedAt { get; set; }
}
