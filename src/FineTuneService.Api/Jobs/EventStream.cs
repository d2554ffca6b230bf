using System.Text.Json;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Jobs;

/// <summary>Server-Sent Events (WHATWG HTML, section 9.2): everything after an id, then live, until the job ends.</summary>
public sealed class EventStream(string jobId, IQueryable<JobEvent> events, long after, FineTuneDb db, EventSignals signals) : IResult
{
    public const string MediaType = "text/event-stream";

    /// <summary>Proxies commonly cut what is silent for 30 or 60 seconds.</summary>
    private static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(15);

    private const int Batch = 500;

    public static bool IsWanted(HttpRequest request) => request.GetTypedHeaders().Accept.Any(accepted => accepted.MediaType == MediaType);

    /// <summary>The headers of a stream.</summary>
    public static void Begin(HttpResponse response)
    {
        response.ContentType = MediaType;
        response.Headers.CacheControl = "no-store";
        response.Headers["X-Accel-Buffering"] = "no"; // nginx
    }

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        // A stream would hold up our own end; the client comes back to another process with its Last-Event-ID.
        var stopping = httpContext.RequestServices.GetRequiredService<IHostApplicationLifetime>().ApplicationStopping;
        using var either = CancellationTokenSource.CreateLinkedTokenSource(httpContext.RequestAborted, stopping);
        try
        {
            await Follow(httpContext.Response, either.Token);
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
        }
    }

    private async Task Follow(HttpResponse response, CancellationToken cancel)
    {
        Begin(response);
        using var subscription = signals.Subscribe(jobId);
        await response.WriteAsync(": events follow\n\n", cancel);
        while (true)
        {
            // The state is read first: the last event is written with the change to the last state, so it cannot be missed.
            var status = await db.Jobs.Where(job => job.Id == jobId).Select(job => job.Status).FirstAsync(cancel);
            var rows = await ReadEvents.After(events, after).Take(Batch).ToListAsync(cancel);
            foreach (var happened in rows)
                await response.WriteAsync($"id: {happened.Id}\nevent: {happened.Type}\ndata: {JsonSerializer.Serialize(EventView.From(happened), SnakeCaseJson.Options)}\n\n", cancel);
            await response.Body.FlushAsync(cancel);
            after = rows.LastOrDefault()?.Id ?? after;
            if (rows.Count == Batch)
                continue;
            if (status.IsTerminal())
                return;
            if (!await subscription.WaitAsync(KeepAlive, cancel))
                await response.WriteAsync(": still here\n\n", cancel);
        }
    }
}
