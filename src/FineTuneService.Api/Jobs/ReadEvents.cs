using System.Text.Json;
using FineTuneService.Api.Paging;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Mvc;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Jobs;

/// <summary>Something that happened to a job.</summary>
/// <param name="Id">Rises within a job; the event id of the stream.</param>
/// <param name="Seq">Position in the run's log; absent for a change of the job's state, and for a note of the worker.</param>
/// <param name="Type"><c>status</c> for a change of state, otherwise as in the run's log: <c>started</c>, <c>log</c>, <c>evaluate</c>, <c>save</c>, …</param>
/// <param name="Data">The whole event.</param>
public sealed record EventView(long Id, string JobId, long? Seq, string Type, DateTimeOffset Time, JsonElement Data)
{
    public static EventView From(JobEvent happened) => new(
        happened.Id, happened.JobId, happened.Seq, happened.Type, happened.Time, JsonSerializer.Deserialize<JsonElement>(happened.Data));
}

public static class ReadEvents
{
    /// <summary>Reads what happened to a job: a page as JSON, or with <c>Accept: text/event-stream</c> everything, and then live until the job ends.</summary>
    /// <remarks>
    /// The stream sends each event with its id; after a lost connection a browser gives the last one as <c>Last-Event-ID</c> and misses nothing.
    /// Once a job has ended and all was read, the answer is 204, which tells a browser to stop asking.
    /// </remarks>
    /// <param name="id">The job's id.</param>
    /// <param name="after">Only events after this id.</param>
    /// <param name="limit">Events on a page, 1 to 1000; 200 unless given. The stream has no pages.</param>
    /// <param name="lastEventId">The stream's own form of <c>after</c>.</param>
    public static async Task<IResult> Handle(
        string id, HttpRequest request, FineTuneDb db, EventSignals signals, CancellationToken cancel,
        long after = 0, int? limit = null, [FromHeader(Name = "Last-Event-ID")] long? lastEventId = null)
    {
        var size = Page.Limit(limit, usual: 200, most: 1000);
        var job = await db.FindJob(id, cancel);
        var seen = lastEventId ?? after;
        if (EventStream.IsWanted(request))
            return job.Status.IsTerminal() && !await After(db, id, seen).AnyAsync(cancel) ? TypedResults.NoContent() : new EventStream(id, seen, db, signals);

        var rows = await After(db, id, seen).Take(size + 1).ToListAsync(cancel);
        return TypedResults.Ok(Page.Of<JobEvent, EventView, long?>(rows, size, EventView.From, happened => happened.Id));
    }

    internal static IQueryable<JobEvent> After(FineTuneDb db, string jobId, long id) =>
        db.Events.AsNoTracking().Where(happened => happened.JobId == jobId && happened.Id > id).OrderBy(happened => happened.Id);
}
