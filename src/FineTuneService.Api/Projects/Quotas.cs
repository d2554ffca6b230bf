using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Projects;

/// <summary>Refuses what goes beyond the limits of the request's project.</summary>
public static class Quotas
{
    /// <summary>To be called within the transaction that adds jobs.</summary>
    /// <inheritdoc cref="JobQuota.Check"/>
    public static async Task CheckJobs(FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        if (!await JobQuota.Check(db, db.Project, counted: 0, clock.GetUtcNow(), cancel))
            throw new ProblemException(StatusCodes.Status403Forbidden, $"There is no project '{db.Project}'.");
    }

    /// <summary>Bytes that the project may still add, at most <paramref name="most"/>.</summary>
    /// <exception cref="QuotaException">When none are left.</exception>
    public static async Task<long> StorageLeft(FineTuneDb db, long most, CancellationToken cancel)
    {
        if (await db.Projects.AsNoTracking().Where(project => project.Id == db.Project).Select(project => project.MaxStorageBytes).FirstOrDefaultAsync(cancel) is not { } limit)
            return most;
        var used = await ProjectUsage.Bytes(db, db.Project!, cancel);
        return used < limit ? Math.Min(most, limit - used) : throw new QuotaException($"This project has stored {used} bytes, and its limit is {limit}. Delete datasets or jobs.");
    }
}
