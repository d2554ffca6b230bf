using System.ComponentModel.DataAnnotations;
using FineTuneService.Api.Paging;
using FineTuneService.Api.Problems;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.Webhooks;

/// <summary>A receiver of messages.</summary>
public sealed record NewWebhook
{
    /// <summary>Where messages are posted: https, and an address of the internet, unless the operator allows others.</summary>
    public required string Url { get; init; }

    /// <summary>What it is to hear of: job.waiting, job.queued, job.preparing, job.running, job.retrying, job.paused, job.succeeded, job.failed, job.cancelled. None means all.</summary>
    [MaxLength(32)]
    public IReadOnlyList<string>? Events { get; init; }
}

public static class CreateWebhook
{
    private const int Most = 20;

    /// <summary>Has changes of jobs' states posted to an address, signed as Standard Webhooks says (headers <c>webhook-id</c>, <c>webhook-timestamp</c>, <c>webhook-signature</c>). The secret is shown only now.</summary>
    /// <remarks>
    /// A message is <c>{"type": "job.succeeded", "timestamp": …, "data": {"id", "name", "status", "reason", "attempt", "step", "best", …}}</c>, in data the fields of the job as it was then.
    /// It is taken when the receiver answers 2xx within 15 seconds, and is sent again otherwise, over most of a day. So it may come twice, with the same <c>webhook-id</c>, or after a later one.
    /// A project has at most 20 webhooks.
    /// </remarks>
    public static async Task<Created<WebhookView>> Handle(HttpRequest request, FineTuneDb db, ReceiverPolicy receivers, TimeProvider clock, CancellationToken cancel)
    {
        var body = await JsonContract.ReadAsync<NewWebhook>(request.Body, Catalog.Json, cancel);
        var faults = new FaultList();
        receivers.Check(body.Url, "/url", faults);
        var events = EventNames.Read(body.Events, faults);
        faults.ThrowIfAny();

        var project = db.Project!;
        await using var transaction = await db.Database.BeginTransactionAsync(cancel);
        await db.Projects.FromSql($"SELECT * FROM finetune.projects WHERE id = {project} FOR UPDATE").LoadAsync(cancel); // Two at once would both be the last.
        if (await db.Webhooks.CountAsync(row => row.ProjectId == project, cancel) >= Most)
            throw ProblemException.Conflict($"A project has at most {Most} webhooks; delete one first.");
        var webhook = new Webhook { Id = Ids.NewWebhook(), ProjectId = project, Url = body.Url, Secret = WebhookSecret.New(), Events = events, CreatedAt = clock.GetMicrosecondsNow() };
        db.Webhooks.Add(webhook);
        await db.SaveChangesAsync(cancel);
        await transaction.CommitAsync(cancel);
        return TypedResults.Created($"/webhooks/{webhook.Id}", WebhookView.WithSecret(webhook));
    }
}
