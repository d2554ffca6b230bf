using System.Buffers.Text;
using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Text;
using FineTuneService.Api.Paging;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Access;

/// <summary>Makes keys and finds them again: <c>ft_</c> and 256 random bits, of which the database has the hash alone.</summary>
public sealed class ApiKeys(IDbContextFactory<FineTuneDb> databases, TimeProvider clock)
{
    public const string Mark = "ft_";

    private const int SecretBytes = 32, PrefixLength = 8;
    private static readonly TimeSpan UseGrain = TimeSpan.FromMinutes(1);

    /// <summary>So long a key that was revoked through another process may still open.</summary>
    private static readonly TimeSpan Trusted = TimeSpan.FromSeconds(1);

    private readonly ConcurrentDictionary<string, (ApiKey Row, DateTimeOffset FoundAt)> _found = [];

    /// <returns>The key, which nobody will see again, and its row, which is not stored yet.</returns>
    public (string Key, ApiKey Row) Create(string projectId, string name, IEnumerable<string> scopes, DateTimeOffset? expiresAt)
    {
        var key = Mark + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(SecretBytes));
        return (key, Row(key, projectId, name, scopes, expiresAt));
    }

    public ApiKey Row(string key, string projectId, string name, IEnumerable<string> scopes, DateTimeOffset? expiresAt) => new()
    {
        Id = Ids.NewKey(),
        ProjectId = projectId,
        Name = name,
        Prefix = key[..Math.Min(key.Length, Mark.Length + PrefixLength)],
        Hash = HashOf(key),
        Scopes = [.. scopes],
        CreatedAt = clock.GetMicrosecondsNow(),
        ExpiresAt = expiresAt?.ToUniversalTime(),
    };

    /// <returns>Null for a key that is unknown, revoked or expired.</returns>
    public async Task<ApiKey?> Find(string key, CancellationToken cancel)
    {
        var (hash, now) = (HashOf(key), clock.GetUtcNow());
        if (_found.TryGetValue(hash, out var found) && now - found.FoundAt < Trusted && !(found.Row.ExpiresAt <= now))
            return found.Row;
        _found.TryRemove(hash, out _);
        await using var db = await databases.CreateDbContextAsync(cancel);
        var row = await db.ApiKeys.AsNoTracking().FirstOrDefaultAsync(row => row.Hash == hash && row.RevokedAt == null && (row.ExpiresAt == null || row.ExpiresAt > now), cancel);
        if (row is not null && (row.LastUsedAt is null || now - row.LastUsedAt > UseGrain))
            await db.ApiKeys.Where(used => used.Id == row.Id).ExecuteUpdateAsync(used => used.SetProperty(key => key.LastUsedAt, now), cancel);
        if (row is not null)
            _found[hash] = (row, now);
        return row;
    }

    /// <summary>A key that was revoked opens nothing from now on.</summary>
    public void Forget(ApiKey revoked) => _found.TryRemove(revoked.Hash, out _);

    public static string HashOf(string key) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(key)));
}
