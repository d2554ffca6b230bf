using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Client;
using FineTuneService.Storage;

namespace FineTuneService.Api.Tests;

/// <summary>The typed client, against the API that its description came from.</summary>
public sealed class FineTuneClientTests(Api api)
{
    /// <summary>What brings or takes a file, which the client has in words of its own.</summary>
    private static readonly string[] ByHand =
        ["downloadFile", "downloadArchive", "downloadDataset", "downloadDatasetLedger", "downloadMetrics", "downloadMetricsParquet", "downloadTensorBoard", "downloadWandb", "downloadReport", "uploadDataset", "putDatasetPart", "importBaseModel"];

    private FineTuneClient Connect(HttpMessageHandler? handler = null) => new(api.Http.BaseAddress!, Api.Key, handler);

    [Fact]
    public void It_has_every_operation_but_those_that_OpenAIs_clients_know()
    {
        var document = JsonNode.Parse(File.ReadAllText(Path.Combine(Api.Output, "approved", "openapi.json")))!;
        var described = (from path in document["paths"]!.AsObject() where !path.Key.StartsWith("/v1/", StringComparison.Ordinal) from operation in path.Value!.AsObject() select (string)operation.Value!["operationId"]!).ToList();
        var methods = typeof(FineTuneClient).GetMethods(BindingFlags.Public | BindingFlags.Instance).Select(method => method.Name).Select(name => char.ToLowerInvariant(name[0]) + name[1..]).ToHashSet();

        Assert.Distinct(described);
        Assert.Subset(methods, described.Except(ByHand).Select(name => name + "Async").ToHashSet());
    }

    [Fact]
    public async Task A_file_goes_up_in_parts_and_a_job_comes_back_typed()
    {
        using var client = Connect();
        var folder = Directory.CreateTempSubdirectory("finetune-client-");
        var file = Path.Combine(folder.FullName, "rows.csv");
        await File.WriteAllTextAsync(file, "text,label\ngood,1\nbad,0\n", Api.Cancel);
        var told = new Told();

        var dataset = await client.UploadDatasetAsync(file, progress: told, cancellationToken: Api.Cancel);
        var job = await client.CreateJobAsync(new JobSpec
        {
            Name = "typed",
            BaseModel = "tiny-bert-en",
            Task = new TextClassificationConfig { FocalGamma = 2 },
            Method = new LoraConfig { R = 4 },
            Dataset = new() { Train = dataset.Id },
            Training = new() { NumTrainEpochs = 2, LrSchedulerType = LearningRateSchedule.Cosine },
        }, Api.Cancel);

        folder.Delete(recursive: true);
        Assert.Equal("rows.csv", dataset.FileName);
        Assert.Equal(2, dataset.Rows);
        Assert.Equal([24L], told.Values);
        var read = await client.GetJobAsync(job.Id, Api.Cancel);
        Assert.Equal((JobStatus.Queued, "typed", LearningRateSchedule.Cosine), (read.Status, read.Name, read.Spec.Training!.LrSchedulerType));
        Assert.Equal(2, Assert.IsType<TextClassificationConfig>(read.Spec.Task).FocalGamma);
        Assert.Equal(4, Assert.IsType<LoraConfig>(read.Spec.Method).R);
        Assert.Equal(2, ((JsonElement)read.Spec.Training.NumTrainEpochs!).GetDouble());
        Assert.Contains((await client.ListJobsAsync("queued", cancellationToken: Api.Cancel)).Data, one => one.Id == job.Id);
        Assert.Equal(JobStatus.Cancelled, (await client.CancelJobAsync(job.Id, Api.Cancel)).Status);
    }

    [Fact]
    public async Task A_refusal_has_every_fault_and_a_missing_job_its_status()
    {
        using var client = Connect();

        var refused = await Assert.ThrowsAsync<FineTuneException>(() => client.CreateJobAsync("""{"base_model": "tiny-bert-en", "task": "none", "dataset": {"train": "ds_0"}, "training": {"learning_rate": 7}}""", Api.Cancel));
        var missing = await Assert.ThrowsAsync<FineTuneException>(() => client.GetJobAsync("job_0", Api.Cancel));
        using var stranger = new FineTuneClient(api.Http.BaseAddress!, "ft_nobody");
        var unknown = await Assert.ThrowsAsync<FineTuneException>(() => stranger.ListJobsAsync(cancellationToken: Api.Cancel));

        Assert.Equal(422, refused.Status);
        Assert.Superset(new HashSet<string> { "/task", "/training/learning_rate" }, refused.Problem!.Faults!.Select(fault => fault.Pointer).ToHashSet());
        Assert.Contains("/training/learning_rate", refused.Message, StringComparison.Ordinal);
        Assert.Equal((404, "There is no job 'job_0'."), (missing.Status, missing.Problem!.Detail));
        Assert.Equal(401, unknown.Status);
    }

    [Fact]
    public async Task Events_go_on_where_the_connection_broke_and_end_with_the_job()
    {
        var id = await api.PutJob(Contracts.JobStatus.Running);
        await Happen(id, 1, 4);
        var wire = new Cut("/events", afterBytes: 400);
        using var client = Connect(wire);

        var seqs = new List<long?>();
        await foreach (var happened in client.FollowEventsAsync(id, types: ["log"], cancellationToken: Api.Cancel))
        {
            seqs.Add(happened.Seq);
            if (seqs.Count == 4)
            {
                await Happen(id, 5, 1);
                await api.InDatabase(async db =>
                {
                    (await db.Jobs.FindAsync([id], Api.Cancel))!.Status = Contracts.JobStatus.Succeeded;
                    return await db.SaveChangesAsync(Api.Cancel);
                });
            }
        }

        Assert.Equal([1L, 2, 3, 4, 5], seqs);
        Assert.True(wire.Requests.Count >= 3, $"{wire.Requests.Count} requests");
        Assert.NotEqual("0", wire.Requests[1].LastEventId);
    }

    [Fact]
    public async Task A_download_goes_on_where_it_broke_and_writes_nothing_outside()
    {
        var (id, folder) = await api.PutCheckpoint();
        var weights = new byte[300_000];
        new Random(1).NextBytes(weights);
        await File.WriteAllBytesAsync(Path.Combine(folder, "model.safetensors"), weights, Api.Cancel);
        await File.WriteAllTextAsync(Path.Combine(folder, "config.json"), "{}", Api.Cancel);
        var output = Directory.CreateTempSubdirectory("finetune-client-");
        var wire = new Cut("/model.safetensors", afterBytes: 200_000);
        var told = new Told();
        using var client = Connect(wire);

        await client.DownloadCheckpointAsync(id, "best", output.FullName, told, Api.Cancel);

        Assert.Equal(["config.json", "model.safetensors"], output.GetFiles().Select(file => file.Name).Order());
        Assert.Equal(weights, await File.ReadAllBytesAsync(Path.Combine(output.FullName, "model.safetensors"), Api.Cancel));
        Assert.Contains(wire.Requests, request => request.Range == "bytes=200000-");
        Assert.Equal(300_002, told.Values[^1]);
        output.Delete(recursive: true);
    }

    private async Task Happen(string jobId, long firstSeq, int count) => await api.InDatabase(async db =>
    {
        for (var seq = firstSeq; seq < firstSeq + count; seq++)
            db.Events.Add(new JobEvent { JobId = jobId, Seq = seq, Type = "log", Time = TimeProvider.System.GetUtcNow(), Data = """{"type": "log", "metrics": {"loss": 1}}""" });
        return await db.SaveChangesAsync(Api.Cancel);
    });

    private sealed class Told : IProgress<long>
    {
        public List<long> Values { get; } = [];

        public void Report(long value) => Values.Add(value);
    }

    /// <summary>Breaks the first answer to this address off.</summary>
    private sealed class Cut(string address, int afterBytes) : DelegatingHandler(new SocketsHttpHandler())
    {
        private bool _hasCut;

        public List<(string? LastEventId, string? Range)> Requests { get; } = [];

        protected override async Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var response = await base.SendAsync(request, cancellationToken);
            if (!request.RequestUri!.AbsolutePath.EndsWith(address, StringComparison.Ordinal))
                return response;
            Requests.Add((request.Headers.TryGetValues("Last-Event-ID", out var ids) ? ids.Single() : null, request.Headers.Range?.ToString()));
            if (_hasCut)
                return response;
            _hasCut = true;
            var content = new StreamContent(new Broken(await response.Content.ReadAsStreamAsync(cancellationToken), afterBytes));
            foreach (var (name, values) in response.Content.Headers)
                content.Headers.TryAddWithoutValidation(name, values);
            response.Content = content;
            return response;
        }
    }

    private sealed class Broken(Stream whole, int left) : Stream
    {
        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (left == 0)
                throw new HttpIOException(HttpRequestError.ResponseEnded);
            var read = await whole.ReadAsync(buffer[..Math.Min(buffer.Length, left)], cancellationToken);
            left -= read;
            return read;
        }

        public override bool CanRead => true;
        public override bool CanSeek => false;
        public override bool CanWrite => false;
        public override long Length => throw new NotSupportedException();
        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }
        public override void Flush() { }
        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();
        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();
        public override void SetLength(long value) => throw new NotSupportedException();
        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
