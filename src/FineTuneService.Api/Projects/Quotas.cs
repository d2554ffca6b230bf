using System.Globalization;
using FineTuneService.Api.Problems;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Projects;

/// <summary>Refuses what goes beyond a project's limits: 429, and what would help.</summary>
public static class Quotas
{
    /// <summary>To be called within the transaction that adds jobs: the project's row stays locked, so that two requests do not pass the limit together.</summary>
    public static async Task CheckJobs(FineTuneDb db, TimeProvider clock, CancellationToken cancel)
    {
        var project = await db.Projects.FromSql($"SELECT * FROM finetune.projects WHERE id = {db.Project} FOR UPDATE").AsNoTracking().SingleOrDefaultAsync(cancel)
            ?? throw new ProblemException(StatusCodes.Status403Forbidden, $"There is no project '{db.Project}'.");
        if (project is { MaxQueuedJobs: null, MaxDeviceHours: null })
            return;
        var usage = await ProjectUsage.Of(db, project.Id, clock.GetUtcNow(), cancel);
        if (usage.QueuedJobs >= project.MaxQueuedJobs)
            throw TooMuch($"{usage.QueuedJobs} jobs of this project wait, and its limit is {project.MaxQueuedJobs}. Wait until some have started, or cancel them.");
        if (usage.DeviceHours >= project.MaxDeviceHours)
            throw TooMuch(string.Create(CultureInfo.InvariantCulture, $"This project's jobs have used {usage.DeviceHours:F1} device hours within 30 days, and its limit is {project.MaxDeviceHours}. Ask an administrator for more."));
    }

    /// <summary>Bytes that the project may still add, at most <paramref name="most"/>.</summary>
    /// <exception cref="ProblemException">429 when none are left.</exception>
    public static async Task<long> StorageLeft(FineTuneDb db, long most, CancellationToken cancel)
    {
        if (await db.Projects.AsNoTracking().Where(project => project.Id == db.Project).Select(project => project.MaxStorageBytes).FirstOrDefaultAsync(cancel) is not { } limit)
            return most;
        var used = await ProjectUsage.Bytes(db, db.Project!, cancel);
        return used < limit ? Math.Min(most, limit - used) : throw TooMuch($"This project has stored {used} bytes, and its limit is {limit}. Delete datasets or jobs.");
    }

    private static ProblemException TooMuch(string detail) => new(StatusCodes.Status429TooManyRequests, detail);
}
