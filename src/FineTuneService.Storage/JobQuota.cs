using System.Globalization;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Storage;

/// <summary>Holds a project to what its jobs may take.</summary>
public static class JobQuota
{
    /// <summary>To be called within the transaction that queues jobs: a project's row with a limit stays locked, so that two requests do not pass it together.</summary>
    /// <param name="counted">How many of the jobs that are queued count among the waiting ones already.</param>
    /// <returns>False when there is no such project.</returns>
    /// <exception cref="QuotaException">When it may queue no more.</exception>
    public static async Task<bool> Check(FineTuneDb db, string? projectId, int counted, DateTimeOffset now, CancellationToken cancel)
    {
        if (await db.Projects.AsNoTracking().SingleOrDefaultAsync(row => row.Id == projectId, cancel) is not { } project)
            return false;
        if (project is { MaxQueuedJobs: null, MaxDeviceHours: null })
            return true;
        await db.Database.ExecuteSqlAsync($"SELECT 1 FROM finetune.projects WHERE id = {projectId} FOR UPDATE", cancel);
        var usage = await ProjectUsage.Of(db, project.Id, now, cancel);
        if (usage.QueuedJobs - counted is var waiting && waiting >= project.MaxQueuedJobs)
            throw new QuotaException($"{waiting} jobs of this project wait, and its limit is {project.MaxQueuedJobs}. Wait until some have started, or cancel them.");
        if (usage.DeviceHours >= project.MaxDeviceHours)
            throw new QuotaException(string.Create(CultureInfo.InvariantCulture, $"This project's jobs have used {usage.DeviceHours:F1} device hours within 30 days, and its limit is {project.MaxDeviceHours}. Ask an administrator for more."));
        return true;
    }
}

/// <summary>A project has come to a limit of its own.</summary>
/// <param name="message">Which, and what would help.</param>
public sealed class QuotaException(string message) : Exception(message);
