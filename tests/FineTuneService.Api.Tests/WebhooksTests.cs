using System.Globalization;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using Microsoft.AspNetCore.Http;
using Microsoft.EntityFrameworkCore;
using Microsoft.Extensions.DependencyInjection;

namespace FineTuneService.Api.Tests;

public sealed class WebhooksTests(Api api) : IAsyncLifetime
{
    // What the other tests' jobs hardly ever do.
    private const string Paused = """, "events": ["job.paused"]""";

    private Receiver _receiver = null!;

    private JobStates States => api.Services.GetRequiredService<JobStates>();

    public async ValueTask InitializeAsync() => _receiver = await Receiver.Start();

    public async ValueTask DisposeAsync()
    {
        await api.InDatabase(async db => await db.Webhooks.ExecuteDeleteAsync() + await db.WebhookDeliveries.ExecuteDeleteAsync());
        await _receiver.DisposeAsync();
    }

    [Fact]
    public async Task Every_state_of_a_job_is_told_in_order_and_signed()
    {
        var webhook = await Listen();
        var job = NewJob.From(Project.Default, """{"name": "reviews", "base_model": "tiny-bert-en", "task": {"type": "text-classification"}, "metadata": {"team": "search"}, "dataset": {"train": "ds_0"}}""", "[]", TimeProvider.System.GetUtcNow());
        await api.Services.GetRequiredService<JobQueue>().Enqueue(job, Api.Cancel);
        await States.Claim(job.Id, "worker", TimeSpan.FromMinutes(1), Api.Cancel);
        await States.Change(job.Id, 1, JobStatus.Running, null, null, Api.Cancel);
        await api.InDatabase(db => db.Jobs.Where(row => row.Id == job.Id).ExecuteUpdateAsync(row => row.SetProperty(one => one.Step, 7).SetProperty(one => one.BestStep, 5).SetProperty(one => one.BestMetricName, "eval_loss").SetProperty(one => one.BestMetric, 0.25), Api.Cancel));
        await States.Change(job.Id, 1, JobStatus.Succeeded, "Done.", null, Api.Cancel);

        foreach (var type in new[] { "job.queued", "job.preparing", "job.running", "job.succeeded" })
        {
            var message = await _receiver.Next(message => (string?)message.Json["data"]!["id"] == job.Id);
            Assert.Equal(type, message.Type);
            Assert.True(message.IsSignedWith((string)webhook["secret"]!));
            Assert.StartsWith("msg_", message.Id);
            Assert.InRange(DateTimeOffset.FromUnixTimeSeconds(long.Parse(message.Timestamp, CultureInfo.InvariantCulture)), job.CreatedAt.AddSeconds(-1), TimeProvider.System.GetUtcNow());
            Assert.Equal(("reviews", type[4..], "search"), ((string)message.Json["data"]!["name"]!, (string)message.Json["data"]!["status"]!, (string)message.Json["data"]!["metadata"]!["team"]!));
            if (type != "job.succeeded")
                continue;
            var data = message.Json["data"]!;
            Assert.Equal(("Done.", 1, 7, 0.25, 5), ((string)data["reason"]!, (int)data["attempt"]!, (int)data["step"]!, (double)data["best"]!["value"]!, (int)data["best"]!["step"]!));
            Assert.True((DateTimeOffset)data["created_at"]! <= (DateTimeOffset)data["started_at"]! && (DateTimeOffset)data["started_at"]! <= (DateTimeOffset)data["finished_at"]!);
        }
    }

    [Fact]
    public async Task A_metric_that_diverged_holds_up_no_job()
    {
        await Listen();
        var job = await api.PutJob(JobStatus.Running);
        await api.InDatabase(db => db.Jobs.Where(row => row.Id == job).ExecuteUpdateAsync(row => row.SetProperty(one => one.BestStep, 5).SetProperty(one => one.BestMetricName, "eval_loss").SetProperty(one => one.BestMetric, double.NaN), Api.Cancel));
        Assert.True(await States.Change(job, 1, JobStatus.Succeeded, null, null, Api.Cancel));
        Assert.Null((await _receiver.Next(message => (string?)message.Json["data"]!["id"] == job)).Json["data"]!["best"]);
        Assert.Null((await api.Get($"/jobs/{job}"))["best"]);
    }

    [Fact]
    public async Task Only_what_is_wanted_is_told()
    {
        var wanted = await Listen(Paused);
        var disabled = await Listen();
        await Patch(disabled, """{"enabled": false}""");
        var job = await Pause();
        await api.Services.GetRequiredService<JobRequests>().Cancel(job, Api.Cancel);

        Assert.Equal("job.paused", (await Delivered(wanted)).Type);
        Assert.DoesNotContain(await Deliveries(disabled), delivery => (string?)delivery["job"] == job); // Of others it may have heard before it was disabled.

        await Patch(wanted, """{"events": ["job.cancelled", "job.cancelled"]}""");
        Assert.Equal("""["job.cancelled"]""", (await api.Get($"/webhooks/{wanted["id"]}"))["events"]!.ToJsonString());
        await Pause();
        Assert.Single(await Deliveries(wanted));
    }

    [Fact]
    public async Task A_refused_move_and_one_that_is_undone_tell_nothing()
    {
        var webhook = await Listen();
        var job = await api.PutJob(JobStatus.Running);
        Assert.False(await States.Change(job, 2, JobStatus.Succeeded, null, null, Api.Cancel));
        Assert.False(await States.Change(job, 1, JobStatus.Waiting, null, null, Api.Cancel));
        Assert.Null(await api.Services.GetRequiredService<JobRequests>().Resume(job, Api.Cancel));

        var undone = NewJob.From(Project.Default, """{"base_model": "tiny-bert-en", "task": {"type": "text-classification"}, "dataset": {"train": "ds_0"}}""", "[]", TimeProvider.System.GetUtcNow());
        using (Transactions.Begin())
            await api.Services.GetRequiredService<JobQueue>().Enqueue(undone, Api.Cancel);

        Assert.DoesNotContain(await Deliveries(webhook), delivery => (string?)delivery["job"] == job || (string?)delivery["job"] == undone.Id);
    }

    [Fact]
    public async Task What_fails_is_sent_again_under_the_same_id()
    {
        var failures = 2;
        _receiver.Answer = (_, _) => Task.FromResult(Interlocked.Decrement(ref failures) >= 0 ? StatusCodes.Status500InternalServerError : StatusCodes.Status200OK);
        var webhook = await Listen(Paused);
        await Pause();

        var messages = new[] { await _receiver.Next(), await _receiver.Next(), await _receiver.Next() };
        Assert.Single(messages.Select(message => (message.Id, message.Body)).Distinct());
        Assert.All(messages, message => Assert.True(message.IsSignedWith((string)webhook["secret"]!)));
        var delivery = await Until(webhook, "delivered");
        Assert.Equal((messages[0].Id, 3, 200, null), ((string)delivery["id"]!, (int)delivery["attempts"]!, (int)delivery["last_status"]!, (string?)delivery["last_error"]));
    }

    [Fact]
    public async Task What_is_given_up_can_be_sent_again()
    {
        _receiver.Answer = (_, _) => Task.FromResult(StatusCodes.Status503ServiceUnavailable);
        var webhook = await Listen(Paused);
        await Test(webhook);
        var dead = await Until(webhook, "dead");
        Assert.Equal((3, 503, "It answered 503."), ((int)dead["attempts"]!, (int)dead["last_status"]!, (string)dead["last_error"]!));
        Assert.Null(dead["next_attempt_at"]);
        Assert.Empty(await Deliveries(webhook, "pending"));

        var release = new TaskCompletionSource();
        _receiver.Answer = async (_, cancel) =>
        {
            await release.Task.WaitAsync(cancel);
            return StatusCodes.Status200OK;
        };
        var path = $"/webhooks/{webhook["id"]}/deliveries/{dead["id"]}/redeliver";
        Assert.Equal("pending", (string)(await api.Post(path, "", HttpStatusCode.Accepted))["status"]!);
        await api.Post(path, "", HttpStatusCode.Conflict);
        release.SetResult();
        var delivered = await Until(webhook, "delivered");
        Assert.Equal(((string)dead["id"]!, 1), ((string)delivered["id"]!, (int)delivered["attempts"]!));
        Assert.Empty(await Deliveries(webhook, "dead"));
        await api.Post($"/webhooks/{webhook["id"]}/deliveries/msg_0/redeliver", "", HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_receiver_that_is_gone_gets_nothing_more()
    {
        _receiver.Answer = (_, _) => Task.FromResult(StatusCodes.Status410Gone);
        var webhook = await Listen(Paused);
        await Test(webhook);
        var dead = await Until(webhook, "dead");
        Assert.Equal((1, 410), ((int)dead["attempts"]!, (int)dead["last_status"]!));
        Assert.False((bool)(await api.Get($"/webhooks/{webhook["id"]}"))["enabled"]!);
        await api.Post($"/webhooks/{webhook["id"]}/test", "", HttpStatusCode.Conflict);
        await api.Post($"/webhooks/{webhook["id"]}/deliveries/{dead["id"]}/redeliver", "", HttpStatusCode.Conflict);
        await Pause();
        Assert.Single(await Deliveries(webhook));
    }

    [Fact]
    public async Task What_waits_for_a_disabled_webhook_is_given_up()
    {
        var webhook = await Listen(Paused);
        await api.InDatabase(async db =>
        {
            await db.Webhooks.Where(row => row.Id == (string)webhook["id"]!).ExecuteUpdateAsync(row => row.SetProperty(one => one.Enabled, false), Api.Cancel);
            db.WebhookDeliveries.Add(WebhookMessage.To((string)webhook["id"]!, WebhookMessage.Test, "{}", TimeProvider.System.GetUtcNow()));
            return await db.SaveChangesAsync(Api.Cancel);
        });
        Assert.Equal("The webhook is disabled.", (string)(await Until(webhook, "dead"))["last_error"]!);
        Assert.True(_receiver.IsIdle);
    }

    [Fact]
    public async Task A_redirect_is_a_failure()
    {
        _receiver.Answer = (_, _) => Task.FromResult(StatusCodes.Status307TemporaryRedirect);
        var webhook = await Listen(Paused);
        await Test(webhook);
        Assert.Equal("It answered with a redirect, which is not followed.", (string)(await Until(webhook, "dead"))["last_error"]!);
        Assert.All([await _receiver.Next(), await _receiver.Next(), await _receiver.Next()], message => Assert.Equal("/hooks", message.Path));
        Assert.True(_receiver.IsIdle);
    }

    [Fact]
    public async Task A_slow_receiver_holds_up_no_other()
    {
        var release = new TaskCompletionSource();
        _receiver.Answer = async (_, cancel) =>
        {
            await release.Task.WaitAsync(cancel);
            return StatusCodes.Status200OK;
        };
        await using var other = await Receiver.Start();
        var (slow, quick) = (await Listen(Paused), await Listen(Paused, other));
        await Test(slow);
        await Test(slow);
        await _receiver.Next();
        for (var sent = 0; sent < 3; sent++)
        {
            await Test(quick);
            await other.Next();
        }
        Assert.True(_receiver.IsIdle); // One at a time: the second message waits for the answer to the first.
        release.SetResult();
        await _receiver.Next();
        await Until(slow, "delivered", count: 2);
    }

    [Fact]
    public async Task A_secret_is_shown_once_and_can_be_changed()
    {
        var webhook = await Listen(Paused);
        var path = $"/webhooks/{webhook["id"]}";
        Assert.Equal(32, Convert.FromBase64String(((string)webhook["secret"]!)["whsec_".Length..]).Length);
        Assert.Null((await api.Get(path))["secret"]);
        Assert.Null((await api.Get("/webhooks?limit=1"))["data"]![0]!["secret"]);

        string[] secrets = [(string)webhook["secret"]!, await Rotate(), await Rotate()];
        await Test(webhook);
        var message = await _receiver.Next();
        Assert.Equal(WebhookMessage.Test, message.Type);
        Assert.Equal([false, true, true], secrets.Select(message.IsSignedWith)); // The one before last is valid for a day more.

        var (id, now) = ((string)webhook["id"]!, TimeProvider.System.GetUtcNow());
        await api.InDatabase(db => db.Webhooks.Where(row => row.Id == id).ExecuteUpdateAsync(row => row.SetProperty(hook => hook.PreviousSecretExpiresAt, now), Api.Cancel));
        await Test(webhook);
        message = await _receiver.Next();
        Assert.Equal([false, false, true], secrets.Select(message.IsSignedWith));

        async Task<string> Rotate() => (string)(await api.Post($"{path}/rotate-secret", "", HttpStatusCode.OK))["secret"]!;
    }

    [Fact]
    public async Task Faults_are_told_all_at_once_with_the_way_out()
    {
        var problem = await api.Post("/webhooks", """{"url": "ftp://example.com", "events": ["job.succeeded", "job.done"]}""", HttpStatusCode.UnprocessableEntity);
        Assert.Equal(["/url", "/events/1"], Api.Pointers(problem));
        Assert.Contains("job.succeeded", (string)problem["faults"]![1]!["remedy"]!, StringComparison.Ordinal);
        Assert.Equal(["/url"], Api.Pointers(await api.Post("/webhooks", "{}", HttpStatusCode.UnprocessableEntity)));
        var webhook = await Listen(Paused);
        Assert.Equal(["/url"], Api.Pointers(await Patch(webhook, """{"url": "http://169.254.169.254/latest/meta-data"}""", HttpStatusCode.UnprocessableEntity)));
        Assert.Equal(["?status"], Api.Pointers(await api.Get($"/webhooks/{webhook["id"]}/deliveries?status=lost", HttpStatusCode.UnprocessableEntity)));
        await api.Get("/webhooks/wh_0/deliveries", HttpStatusCode.NotFound);
        await api.Post("/webhooks/wh_0/test", "", HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task A_project_has_at_most_20_and_lists_them_in_pages()
    {
        for (var made = 0; made < 20; made++)
            await Listen(Paused);
        await api.Post("/webhooks", $$"""{"url": "{{_receiver.Url}}"}""", HttpStatusCode.Conflict);
        var first = await api.Get("/webhooks?limit=15");
        var rest = await api.Get($"/webhooks?limit=15&after={first["next_after"]}");
        Assert.Equal((15, true, 5, false), (first["data"]!.AsArray().Count, (bool)first["has_more"]!, rest["data"]!.AsArray().Count, (bool)rest["has_more"]!));
        var deleted = first["data"]![0]!.AsObject();
        await Api.Read(await api.Http.DeleteAsync($"/webhooks/{deleted["id"]}", Api.Cancel), HttpStatusCode.NoContent);
        await api.Get($"/webhooks/{deleted["id"]}", HttpStatusCode.NotFound);
        await Listen(Paused);
    }

    [Fact]
    public async Task Deleting_takes_what_was_not_sent_along()
    {
        _receiver.Answer = (_, _) => Task.FromResult(StatusCodes.Status500InternalServerError);
        var webhook = await Listen(Paused);
        await Test(webhook);
        await Api.Read(await api.Http.DeleteAsync($"/webhooks/{webhook["id"]}", Api.Cancel), HttpStatusCode.NoContent);
        Assert.False(await api.InDatabase(db => db.WebhookDeliveries.AnyAsync(row => row.WebhookId == (string)webhook["id"]!, Api.Cancel)));
    }

    private async Task<JsonObject> Listen(string extra = "", Receiver? receiver = null) =>
        await api.Post("/webhooks", $$"""{"url": "{{new Uri((receiver ?? _receiver).Url, "/hooks")}}" {{extra}}}""", HttpStatusCode.Created);

    private async Task Test(JsonObject webhook) => await api.Post($"/webhooks/{webhook["id"]}/test", "", HttpStatusCode.Accepted);

    private async Task<string> Pause()
    {
        var job = await api.PutJob(JobStatus.Queued);
        await api.Services.GetRequiredService<JobRequests>().Pause(job, Api.Cancel);
        return job;
    }

    private async Task<JsonObject> Patch(JsonObject webhook, string json, HttpStatusCode expected = HttpStatusCode.OK) =>
        await Api.Read(await api.Http.PatchAsync($"/webhooks/{webhook["id"]}", new StringContent(json, Encoding.UTF8, "application/json"), Api.Cancel), expected);

    private async Task<Received> Delivered(JsonObject webhook)
    {
        await Until(webhook, "delivered");
        return await _receiver.Next();
    }

    private async Task<List<JsonNode>> Deliveries(JsonObject webhook, string? status = null) =>
        [.. (await api.Get($"/webhooks/{webhook["id"]}/deliveries{(status is null ? "" : $"?status={status}")}"))["data"]!.AsArray().Select(delivery => delivery!)];

    /// <summary>The newest message of the webhook with this status, once there are so many.</summary>
    private async Task<JsonNode> Until(JsonObject webhook, string status, int count = 1)
    {
        while (true)
        {
            if (await Deliveries(webhook, status) is var found && found.Count >= count)
                return found[0];
            await Task.Delay(20, Api.Cancel);
        }
    }
}
