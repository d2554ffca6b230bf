using System.Data.Common;
using System.Text.Json;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Idempotency;

/// <summary>
/// A request with an <c>Idempotency-Key</c> that is under way. Whoever does it tells from time to time that it lives; the key of one that died may be taken over,
/// and then the first can keep nothing any more: <see cref="Keep"/> within the transaction that does the work makes it done once, whatever dies when.
/// </summary>
internal sealed class IdempotentWork(IDbContextFactory<FineTuneDb> databases, string project, string key, string owner, TimeProvider clock) : IAsyncDisposable
{
    private static readonly TimeSpan Pulse = TimeSpan.FromSeconds(3);

    /// <summary>Silence after which the request counts as dead.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(12);

    private readonly CancellationTokenSource _done = new();
    private Task _alive = Task.CompletedTask;

    /// <summary>Hash of method, path and body; of a form, known once it is read.</summary>
    public string? Fingerprint { get; set; }

    /// <summary>Whether the answer is stored.</summary>
    public bool IsKept { get; private set; }

    public void TellThatItLives() => _alive = Live();

    public static Task KeepCreated<T>(HttpContext context, FineTuneDb db, string location, T view, CancellationToken cancel) =>
        Keep(context, db, StatusCodes.Status201Created, location, view, Catalog.Json, cancel);

    /// <summary>Stores the answer of a route that makes something; of a request without a key, nothing.</summary>
    /// <param name="db">With the transaction that makes it, or none.</param>
    /// <param name="json">How the route writes its answer.</param>
    /// <exception cref="InvalidOperationException">When another has taken over, so that the transaction must not be completed.</exception>
    public static async Task Keep<T>(HttpContext context, FineTuneDb db, int status, string? location, T view, JsonSerializerOptions json, CancellationToken cancel)
    {
        if (context.Features.Get<IdempotentWork>() is { } work)
            await work.Keep(db, status, "application/json; charset=utf-8", location, JsonSerializer.SerializeToUtf8Bytes(view, json), cancel);
    }

    public async Task Keep(FineTuneDb db, int status, string? contentType, string? location, byte[] body, CancellationToken cancel)
    {
        var fingerprint = Fingerprint ?? throw new InvalidOperationException("The request's fingerprint is not known yet.");
        var kept = await db.IdempotentRequests.Where(row => row.ProjectId == project && row.Key == key && row.Fingerprint == owner).ExecuteUpdateAsync(row => row
            .SetProperty(request => request.Fingerprint, fingerprint).SetProperty(request => request.Status, status).SetProperty(request => request.ContentType, contentType)
            .SetProperty(request => request.Location, location).SetProperty(request => request.Body, body), cancel);
        IsKept = kept == 1 ? true : throw new InvalidOperationException("Another request has taken over this one's key.");
    }

    /// <summary>Ends it; what is not kept is forgotten.</summary>
    public async ValueTask DisposeAsync()
    {
        await _done.CancelAsync();
        await _alive;
        _done.Dispose();
        if (IsKept)
            return;
        await using var db = await databases.CreateDbContextAsync();
        await db.IdempotentRequests.Where(row => row.ProjectId == project && row.Key == key && row.Fingerprint == owner).ExecuteDeleteAsync();
    }

    private async Task Live()
    {
        using var timer = new PeriodicTimer(Pulse, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(_done.Token))
            {
                await using var db = await databases.CreateDbContextAsync(_done.Token);
                var now = clock.GetUtcNow();
                await db.IdempotentRequests.Where(row => row.ProjectId == project && row.Key == key && row.Fingerprint == owner).ExecuteUpdateAsync(row => row.SetProperty(request => request.StartedAt, now), _done.Token);
            }
        }
        catch (Exception error) when (error is OperationCanceledException || error.GetBaseException() is DbException)
        {
            // Done; or the database is away, and nothing can be kept.
        }
    }
}
