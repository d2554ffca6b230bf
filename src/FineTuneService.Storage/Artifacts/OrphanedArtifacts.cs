using FineTuneService.Contracts;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage.Artifacts;

/// <summary>Deletes from the store what has no row: whoever deleted it died, or the store was away just then.</summary>
public sealed class OrphanedArtifacts(ArtifactStore artifacts, IDbContextFactory<FineTuneDb> databases, TimeProvider clock)
{
    /// <summary>A dataset is stored before its row is there.</summary>
    private static readonly TimeSpan Abandoned = TimeSpan.FromDays(1);

    public async Task Sweep(CancellationToken cancel)
    {
        await using var db = await databases.CreateDbContextAsync(cancel);
        await Sweep("datasets/", name => name.Split('.')[0], id => db.Datasets.IgnoreQueryFilters().AnyAsync(row => row.Id == id, cancel), cancel);
        await Sweep("runs/", name => name.Split('/')[0], id => db.Jobs.IgnoreQueryFilters().AnyAsync(row => row.Id == id, cancel), cancel);
    }

    private async Task Sweep(string prefix, Func<string, string> idOf, Func<string, Task<bool>> isThere, CancellationToken cancel)
    {
        var before = clock.GetUtcNow() - Abandoned;
        foreach (var id in (await artifacts.List(prefix, cancel)).Select(name => idOf(name[prefix.Length..])).Distinct().ToList())
            if (TimeOf(id) < before && !await isThere(id))
                await artifacts.Delete(prefix + id, cancel);
    }

    /// <summary>When an id of ours was made, which a UUID of version 7 begins with; of anything else, never.</summary>
    private static DateTimeOffset TimeOf(string id) =>
        Ids.GuidOf(id) is { } guid && guid.ToByteArray(bigEndian: true) is var bytes
            ? DateTimeOffset.FromUnixTimeMilliseconds(((long)System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(bytes) << 16) | System.Buffers.Binary.BinaryPrimitives.ReadUInt16BigEndian(bytes.AsSpan(4)))
            : DateTimeOffset.MaxValue;
}
