using System.Diagnostics;
using FineTuneService.Contracts;
using Microsoft.AspNetCore.Http;

namespace FineTuneService.Hub.Tests;

/// <summary>A file that comes in pieces, and several who want it.</summary>
public sealed class DownloadTests : HubTest
{
    [Fact]
    public async Task A_connection_that_breaks_is_taken_up_where_it_broke()
    {
        var cuts = 0;
        Server.Disturb = (context, request, content) => request.Cdn && cuts++ < 2 ? Cut(context, content, 3_000_000) : Task.FromResult(false);

        var snapshot = await Fetch();

        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot.Path, "model.safetensors")));
        var ranges = Server.Requests.Where(request => request.Cdn).ToList();
        Assert.Equal(3, ranges.Count);
        Assert.Null(ranges[0].Range);
        Assert.All(ranges[1..], request => Assert.Matches("^bytes=[1-9][0-9]*-$", request.Range));
        Assert.Equal($"\"{LocalHub.Etag("model.safetensors", Weights)[..8]}\"", ranges[1].IfRange);
    }

    [Fact]
    public async Task A_body_that_ends_early_is_completed_by_range()
    {
        var first = true;
        Server.Disturb = async (context, request, content) =>
        {
            if (!request.Cdn || !first)
                return false;
            first = false;
            await context.Response.Body.WriteAsync(content.AsMemory(0, 100_000)); // Chunked: it ends properly, and too early.
            return true;
        };

        var snapshot = await Fetch();

        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot.Path, "model.safetensors")));
        Assert.Equal([null, "bytes=100000-"], Server.Requests.Where(request => request.Cdn).Select(request => request.Range));
    }

    [Fact]
    public async Task A_server_without_ranges_is_read_from_the_beginning()
    {
        var first = true;
        Server.Disturb = async (context, request, content) =>
        {
            if (!request.Cdn)
                return false;
            await context.Response.Body.WriteAsync(content.AsMemory(0, first ? 100_000 : content.Length));
            first = false;
            return true;
        };
        var progress = new DownloadProgress();

        var snapshot = await Hub().Fetch(Model(), progress, Cancel);

        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshot.Path, "model.safetensors")));
        Assert.Equal(progress.Total, progress.Done);
    }

    [Fact]
    public async Task Who_trains_from_the_config_on_gets_no_weights()
    {
        var progress = new DownloadProgress();

        var snapshot = await Hub().Fetch(Model(), progress, Cancel, withWeights: false);

        Assert.Equal(TinyBert["config.json"], File.ReadAllBytes(Path.Combine(snapshot.Path, "config.json")));
        Assert.Equal(TinyBert["tokenizer.json"], File.ReadAllBytes(Path.Combine(snapshot.Path, "tokenizer.json")));
        Assert.False(File.Exists(Blob("model.safetensors")));
        Assert.DoesNotContain(Server.Requests, request => request.Cdn);
        Assert.Equal(progress.Total, progress.Done);
        Assert.Equal(snapshot, await Hub(offline: true).Fetch(Model(Commit), new(), Cancel, withWeights: false)); // It is all there, and a model with weights is not.
        await Assert.ThrowsAsync<FaultException>(() => Hub(offline: true).Fetch(Model(Commit), new(), Cancel));
    }

    [Fact]
    public async Task A_broken_download_goes_on_when_it_is_asked_for_again()
    {
        Server.Disturb = (context, request, content) => request.Cdn ? request.Range is null ? Cut(context, content, 3_000_000) : Refuse(context, 503) : Task.FromResult(false);
        await Assert.ThrowsAsync<HubUnreachableException>(() => Fetch(Hub(retries: 1)));
        Assert.False(File.Exists(Blob("model.safetensors")));
        var kept = new FileInfo(Blob("model.safetensors") + ".incomplete").Length;
        Assert.InRange(kept, 1, 3_000_000);

        Server.Disturb = (_, _, _) => Task.FromResult(false);
        await Fetch();

        Assert.Equal($"bytes={kept}-", Server.Requests.Last(request => request.Cdn).Range);
        Assert.Equal(Weights, File.ReadAllBytes(Blob("model.safetensors")));
    }

    [Fact]
    public async Task A_link_that_has_run_out_is_asked_for_anew()
    {
        var asked = 0;
        Server.Disturb = (context, request, content) => !request.Cdn ? Task.FromResult(false) : ++asked switch
        {
            1 => Cut(context, content, 3_000_000),
            2 => Refuse(context, 403),
            _ => Task.FromResult(false),
        };

        await Fetch();

        Assert.Equal(Weights, File.ReadAllBytes(Blob("model.safetensors")));
        Assert.Equal(3, Server.Requests.Count(request => !request.Cdn && request.Path.EndsWith("/model.safetensors", StringComparison.Ordinal)));
        Assert.NotNull(Server.Requests.Last(request => request.Cdn).Range);
    }

    [Fact]
    public async Task A_hub_that_refuses_in_the_middle_does_not_cost_what_is_here()
    {
        Server.Disturb = (context, request, content) => request.Cdn ? Cut(context, content, 3_000_000) : request.Range is null ? Task.FromResult(false) : Refuse(context, 403);

        Assert.Contains("terms", (await FaultOf(() => Fetch())).Message, StringComparison.Ordinal);

        Assert.True(new FileInfo(Blob("model.safetensors") + ".incomplete").Length > 0);
    }

    [Fact]
    public async Task A_file_that_has_become_shorter_is_damaged()
    {
        Server.Disturb = (context, request, content) => request.Cdn ? request.Range is null ? Cut(context, content, 3_000_000) : Refuse(context, 416) : Task.FromResult(false);

        Assert.Contains("fewer", (await FaultOf(() => Fetch())).Message, StringComparison.Ordinal);
        Assert.False(File.Exists(Blob("model.safetensors") + ".incomplete"));
    }

    [Fact]
    public async Task Two_who_want_the_same_file_fetch_it_once()
    {
        Server.Disturb = async (_, request, _) =>
        {
            if (request.Cdn)
                await Task.Delay(300);
            return false;
        };

        var snapshots = await Task.WhenAll(Fetch(Hub()), Fetch(Hub()), Fetch(Hub()));

        Assert.Single(snapshots.Distinct());
        Assert.Equal(Weights, File.ReadAllBytes(Path.Combine(snapshots[0].Path, "model.safetensors")));
        Assert.Single(Server.Requests, request => request.Cdn);
    }

    [Fact]
    public async Task A_lock_that_another_process_holds_is_waited_for()
    {
        var locks = Directory.CreateDirectory(Path.Combine(Cache, ".locks", "models--acme--tiny-bert")).FullName;
        var etag = LocalHub.Etag("model.safetensors", Weights);
        // flock(1) is what the Python library's FileLock does, too.
        using var other = Process.Start(new ProcessStartInfo("flock", [Path.Combine(locks, etag + ".lock"), "sh", "-c", "echo held; read -r line"]) { RedirectStandardInput = true, RedirectStandardOutput = true })!;
        Assert.Equal("held", await other.StandardOutput.ReadLineAsync(Cancel));

        var fetching = Fetch();
        await Task.WhenAny(fetching, Task.Delay(500, Cancel));
        Assert.False(fetching.IsCompleted || Server.Requests.Any(request => request.Cdn));
        await other.StandardInput.WriteLineAsync("end");
        await fetching;

        Assert.Equal(Weights, File.ReadAllBytes(Blob("model.safetensors")));
        await other.WaitForExitAsync(Cancel);
    }

    [Fact]
    public async Task Cancelling_keeps_what_came_so_far()
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancel);
        var progress = new DownloadProgress();
        Server.Disturb = async (context, request, content) =>
        {
            if (!request.Cdn)
                return false;
            await context.Response.Body.WriteAsync(content.AsMemory(0, 2_000_000));
            await context.Response.Body.FlushAsync();
            await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
            return true;
        };
        var fetching = Hub().Fetch(Model(), progress, stop.Token);
        var small = TinyBert.Values.Sum(file => file.Length) - Weights.Length;
        while (progress.Done < small + 2_000_000)
            await Task.Delay(20, Cancel);

        await stop.CancelAsync();

        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => fetching);
        Assert.Equal(Weights[..2_000_000], File.ReadAllBytes(Blob("model.safetensors") + ".incomplete"));
    }

    private static async Task<bool> Cut(HttpContext context, byte[] content, int after)
    {
        context.Response.ContentLength = content.Length;
        context.Response.Headers.ETag = $"\"{LocalHub.Etag("model.safetensors", content)[..8]}\"";
        if (context.Request.Headers.Range.Count > 0)
        {
            var from = long.Parse(context.Request.Headers.Range.ToString()["bytes=".Length..^1], System.Globalization.CultureInfo.InvariantCulture);
            content = content[(int)from..];
            after = Math.Min(after, content.Length / 2);
            context.Response.StatusCode = 206;
            context.Response.ContentLength = content.Length;
            context.Response.Headers.ContentRange = $"bytes {from}-{from + content.Length - 1}/{from + content.Length}";
        }
        await context.Response.Body.WriteAsync(content.AsMemory(0, after));
        await context.Response.Body.FlushAsync();
        await Task.Delay(200);
        context.Abort();
        return true;
    }
}
