using System.Formats.Tar;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using FineTuneService.Contracts;
using FineTuneService.Storage;

namespace FineTuneService.Api.Tests;

public sealed class CheckpointsTests(Api api)
{
    private static readonly byte[] Weights = [.. Enumerable.Range(0, 100_000).Select(i => (byte)(i * 7))];

    [Fact]
    public async Task Checkpoints_are_listed_and_called_by_step_best_and_final()
    {
        var id = await WithCheckpoints();

        var listed = (await api.Get($"/jobs/{id}/checkpoints"))["data"]!.AsArray();

        Assert.Equal([10, 20], listed.Select(checkpoint => (int)checkpoint!["step"]!)); // 5 was deleted.
        Assert.Equal(0.75, (double)listed[0]!["metrics"]!["eval_accuracy"]!);
        Assert.Equal("checkpoints/checkpoint-10", (string)listed[0]!["path"]!);
        foreach (var (which, step) in new[] { ("best", "10"), ("10", "10"), ("final", "20"), ("20", "20") })
            Assert.Equal(step, await api.Http.GetStringAsync($"/jobs/{id}/checkpoints/{which}/files/config.json", Api.Cancel));
        foreach (var unknown in new[] { "5", "11", "latest", "-1", "..", "%2e%2e" })
            Assert.Equal(HttpStatusCode.NotFound, (await api.Http.GetAsync($"/jobs/{id}/checkpoints/{unknown}/files", Api.Cancel)).StatusCode);
        Assert.Equal(["config.json", "extra/notes.txt", "model.safetensors"], (await api.Get($"/jobs/{id}/checkpoints/best/files"))["data"]!.AsArray().Select(file => (string)file!["path"]!));
    }

    [Fact]
    public async Task A_file_is_downloaded_in_parts_and_only_when_it_changed()
    {
        var path = $"/jobs/{await WithCheckpoints()}/checkpoints/best/files/model.safetensors";
        using var whole = await api.Http.GetAsync(path, Api.Cancel);
        Assert.Equal(Weights, await whole.Content.ReadAsByteArrayAsync(Api.Cancel));
        Assert.Equal("bytes", whole.Headers.AcceptRanges.Single());
        var tag = whole.Headers.ETag!;

        using var part = await Send(path, headers => headers.Range = new(1000, 1999));
        Assert.Equal(HttpStatusCode.PartialContent, part.StatusCode);
        Assert.Equal(Weights[1000..2000], await part.Content.ReadAsByteArrayAsync(Api.Cancel));
        using var rest = await Send(path, headers => (headers.Range, headers.IfRange) = (new(99_990, null), new(tag)));
        Assert.Equal(Weights[99_990..], await rest.Content.ReadAsByteArrayAsync(Api.Cancel));
        using var changed = await Send(path, headers => (headers.Range, headers.IfRange) = (new(99_990, null), new(new EntityTagHeaderValue("\"other\""))));
        Assert.Equal(HttpStatusCode.OK, changed.StatusCode);
        using var beyond = await Send(path, headers => headers.Range = new(100_000, null));
        await Api.Read(beyond, HttpStatusCode.RequestedRangeNotSatisfiable);
        using var same = await Send(path, headers => headers.IfNoneMatch.Add(tag));
        Assert.Equal(HttpStatusCode.NotModified, same.StatusCode);
    }

    [Theory]
    [InlineData("../../job.json")]
    [InlineData("..%2f..%2fjob.json")]
    [InlineData("%2e%2e/%2e%2e/job.json")]
    [InlineData("..%5c..%5cjob.json")]
    [InlineData("/etc/passwd")]
    [InlineData("%2fetc%2fpasswd")]
    [InlineData("extra/../../checkpoint-20/config.json")]
    [InlineData("link.txt")]
    [InlineData("linked/passwd")]
    [InlineData("config.json%00.txt")]
    public async Task Nothing_outside_a_checkpoint_is_served(string path)
    {
        var id = await WithCheckpoints();
        var folder = Path.Combine(api.Storage.Run(id).Checkpoint(10));
        File.WriteAllText(api.Storage.Run(id).Job, "secret");
        File.CreateSymbolicLink(Path.Combine(folder, "link.txt"), "/etc/passwd");
        Directory.CreateSymbolicLink(Path.Combine(folder, "linked"), "/etc");

        var answer = await SendRaw($"/jobs/{id}/checkpoints/10/files/{path}");

        Assert.Matches("^HTTP/1.1 40[04] ", answer);
        Assert.DoesNotContain("root:", answer);
        Assert.DoesNotContain("secret", answer);
        Assert.Equal(3, (await api.Get($"/jobs/{id}/checkpoints/10/files"))["data"]!.AsArray().Count);
    }

    [Fact]
    public async Task An_archive_holds_every_file_as_it_is()
    {
        var id = await WithCheckpoints();

        using var response = await api.Http.GetAsync($"/jobs/{id}/checkpoints/best/archive", HttpCompletionOption.ResponseHeadersRead, Api.Cancel);
        using var tar = new TarReader(await response.Content.ReadAsStreamAsync(Api.Cancel));
        var files = new Dictionary<string, byte[]>();
        while (await tar.GetNextEntryAsync(copyData: true, Api.Cancel) is { } entry)
        {
            using var content = new MemoryStream();
            await entry.DataStream!.CopyToAsync(content, Api.Cancel);
            files[entry.Name] = content.ToArray();
        }

        Assert.Equal($"{id}-checkpoint-10.tar", response.Content.Headers.ContentDisposition!.FileNameStar);
        Assert.Equal([$"{id}-checkpoint-10/config.json", $"{id}-checkpoint-10/extra/notes.txt", $"{id}-checkpoint-10/model.safetensors"], files.Keys);
        Assert.Equal(Weights, files[$"{id}-checkpoint-10/model.safetensors"]);
    }

    private async Task<string> WithCheckpoints()
    {
        var id = await api.PutJob(JobStatus.Succeeded);
        foreach (var step in new[] { 10, 20 })
        {
            var folder = Directory.CreateDirectory(api.Storage.Run(id).Checkpoint(step)).FullName;
            Directory.CreateDirectory(Path.Combine(folder, "extra"));
            File.WriteAllText(Path.Combine(folder, "extra", "notes.txt"), "n");
            File.WriteAllText(Path.Combine(folder, "config.json"), $"{step}");
            File.WriteAllBytes(Path.Combine(folder, "model.safetensors"), Weights);
        }
        await api.InDatabase(db =>
        {
            var now = TimeProvider.System.GetUtcNow();
            db.Checkpoints.AddRange(
                from step in new[] { 5, 10, 20 }
                select new Checkpoint
                {
                    JobId = id,
                    Step = step,
                    Epoch = step / 10.0,
                    Path = $"checkpoints/checkpoint-{step}",
                    Bytes = 100_003,
                    Best = step == 10,
                    Final = step == 20,
                    Metrics = """{"eval_accuracy": 0.75}""",
                    CreatedAt = now,
                    DeletedAt = step == 5 ? now : null,
                });
            return db.SaveChangesAsync(Api.Cancel);
        });
        return id;
    }

    private async Task<HttpResponseMessage> Send(string path, Action<HttpRequestHeaders> set)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        set(request.Headers);
        return await api.Http.SendAsync(request, Api.Cancel);
    }

    /// <summary>HttpClient would tidy the path.</summary>
    private async Task<string> SendRaw(string path)
    {
        using var client = new TcpClient(api.Http.BaseAddress!.Host, api.Http.BaseAddress.Port);
        await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes($"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {Api.Key}\r\nConnection: close\r\n\r\n"), Api.Cancel);
        return await new StreamReader(client.GetStream()).ReadToEndAsync(Api.Cancel);
    }
}
