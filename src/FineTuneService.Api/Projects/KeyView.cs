using System.ComponentModel.DataAnnotations;
using FineTuneService.Storage;

namespace FineTuneService.Api.Projects;

/// <summary>A key of a project.</summary>
/// <param name="Prefix">Its first characters.</param>
/// <param name="Key">The key itself: only in the answer that made it.</param>
/// <param name="LastUsedAt">To the minute.</param>
public sealed record KeyView(
    string Id, string ProjectId, string Name, string Prefix, IReadOnlyList<string> Scopes, string? Key, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt, DateTimeOffset? RevokedAt, DateTimeOffset? LastUsedAt)
{
    public static KeyView From(ApiKey row) => From(row, null);

    public static KeyView From(ApiKey row, string? key) =>
        new(row.Id, row.ProjectId, row.Name, row.Prefix, row.Scopes, key, row.CreatedAt, row.ExpiresAt, row.RevokedAt, row.LastUsedAt);
}

/// <summary>The body of <c>POST /projects/{id}/keys</c>.</summary>
public sealed record KeyDraft
{
    /// <summary>A name for people.</summary>
    [Length(1, 128)]
    public required string Name { get; init; }

    /// <summary>What it may do: datasets:read, datasets:write, jobs:read, jobs:write, models:read, admin. To write includes to read.</summary>
    [Length(1, 16)]
    public required IReadOnlyList<string> Scopes { get; init; }

    /// <summary>Absent: it does not expire.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }
}

public sealed record KeyList(IReadOnlyList<KeyView> Data);
