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
    /// <param name="types">Only events of these types, separated by commas: <c>status,note,save</c>.</param>
    /// <param name="last">Of what has happened so far only the last so many; the stream begins with them, and with 0 brings only what is new.</param>
    /// <param name="lastEventId">The stream's own form of <c>after</c>.</param>
    public static async Task<IResult> Handle(
        string id, HttpRequest request, FineTuneDb db, EventSignals signals, CancellationToken cancel,
        long after = 0, int? limit = null, string? types = null, int? last = null, [FromHeader(Name = "Last-Event-ID")] long? lastEventId = null)
    {
        var size = Page.Limit(limit, usual: 200, most: 1000);
        if (last is < 0 or > 1000)
            throw new FaultException("?last", $"{last}", "This number of events is out of bounds.", "Give 0 to 1000.");
        var job = await db.FindJob(id, cancel);
        var events = OfTypes(db, id, types);
        var seen = lastEventId ?? Math.Max(after, last is { } count ? await Before(events, count, cancel) : 0);
        if (EventStream.IsWanted(request))
            return job.Status.IsTerminal() && !await After(events, seen).AnyAsync(cancel) ? TypedResults.NoContent() : new EventStream(id, events, seen, db, signals);

        var rows = await After(events, seen).Take(Math.Max(size, last ?? 0) + 1).ToListAsync(cancel);
        return TypedResults.Ok(Page.Of<JobEvent, EventView, long?>(rows, Math.Max(size, last ?? 0), EventView.From, happened => happened.Id));
    }

    internal static IQueryable<JobEvent> After(IQueryable<JobEvent> events, long id) => events.Where(happened => happened.Id > id).OrderBy(happened => happened.Id);

    private static IQueryable<JobEvent> OfTypes(FineTuneDb db, string jobId, string? types)
    {
        var events = db.Events.AsNoTracking().Where(happened => happened.JobId == jobId);
        return types?.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries) is { Length: > 0 } wanted ? events.Where(happened => wanted.Contains(happened.Type)) : events;
    }

    /// <summary>The id after which so many events have followed.</summary>
    private static async Task<long> Before(IQueryable<JobEvent> events, int count, CancellationToken cancel) =>
        await events.OrderByDescending(happened => happened.Id).Skip(count).Select(happened => happened.Id).FirstOrDefaultAsync(cancel);
}
