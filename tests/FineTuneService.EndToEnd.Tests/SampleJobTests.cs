using System.Formats.Tar;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json.Nodes;

namespace FineTuneService.EndToEnd.Tests;

public sealed class SampleJobTests(Service service) : IClassFixture<Service>
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_job_goes_from_upload_to_prediction()
    {
        service.StartWorker();
        var id = await service.PostJob(
            new { train = await service.Upload("train.tsv", 640), validation = await service.Upload("dev.tsv", 200) },
            new { num_train_epochs = 2, per_device_train_batch_size = 16, learning_rate = 1e-3, warmup_steps = 0.1, max_length = 48, logging_steps = 5, eval_on_start = true, metric_for_best_model = "accuracy" });

        var job = await service.WaitForStatus(id, "succeeded");

        Assert.Equal(1, job["attempt"]!.GetValue<int>());
        Assert.Equal(80, job["progress"]!["step"]!.GetValue<int>());
        await MetricsAreWhole(id, 80, 5);
        await EventsReplay(id);
        await ArtifactsDownload(id);
        await Predicts(id);
    }

    [Fact]
    public async Task Bad_data_fails_with_its_lines()
    {
        using var form = new MultipartFormDataContent { { new StringContent("text,label\nfine,1\nbad\n"), "file", "ragged.csv" } };
        using var response = await service.Http.PostAsync("/datasets", form, Cancel);

        Assert.Equal(HttpStatusCode.UnprocessableEntity, response.StatusCode);
        var fault = (await response.Content.ReadFromJsonAsync<JsonObject>(Cancel))!["faults"]![0]!;
        Assert.Equal("ragged.csv:3", fault["pointer"]!.GetValue<string>());
    }

    private async Task MetricsAreWhole(string id, int steps, int every)
    {
        var rows = await service.Metrics(id);
        int[] expected = [1, .. Enumerable.Range(1, steps / every).Select(step => step * every)];

        Assert.Equal(expected, rows.Where(row => row.Name == "loss").Select(row => row.Step));
        Assert.Equal(rows.Count, rows.DistinctBy(row => (row.Step, row.Name)).Count());
        Assert.Equal([0, 40, 80], rows.Where(row => row.Name == "eval_accuracy").Select(row => row.Step));
    }

    private async Task EventsReplay(string id)
    {
        var all = (await service.Get($"/jobs/{id}/events?limit=1000"))["data"]!.AsArray();
        Assert.Equal(["queued", "preparing", "running", "succeeded"], all.Where(happened => happened!["type"]!.GetValue<string>() == "status").Select(happened => happened!["data"]!["status"]!.GetValue<string>()));
        var middle = all[all.Count / 2]!["id"]!.GetValue<long>();

        using var request = new HttpRequestMessage(HttpMethod.Get, $"/jobs/{id}/events");
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue("text/event-stream"));
        request.Headers.Add("Last-Event-ID", middle.ToString(System.Globalization.CultureInfo.InvariantCulture));
        using var response = await service.Http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, Cancel);
        var stream = await response.Content.ReadAsStringAsync(Cancel); // It ends by itself: the job has ended.
        var ids = stream.Split('\n').Where(line => line.StartsWith("id: ", StringComparison.Ordinal)).Select(line => long.Parse(line[4..], System.Globalization.CultureInfo.InvariantCulture));

        Assert.Equal(all.Select(happened => happened!["id"]!.GetValue<long>()).Where(one => one > middle), ids);
    }

    private async Task ArtifactsDownload(string id)
    {
        var checkpoints = (await service.Get($"/jobs/{id}/checkpoints"))["data"]!.AsArray();
        Assert.Single(checkpoints, checkpoint => checkpoint!["best"]!.GetValue<bool>());
        Assert.Single(checkpoints, checkpoint => checkpoint!["final"]!.GetValue<bool>());

        var path = $"/jobs/{id}/checkpoints/best/files/model.safetensors";
        var whole = await service.Http.GetByteArrayAsync(path, Cancel);
        using var request = new HttpRequestMessage(HttpMethod.Get, path);
        request.Headers.Range = new RangeHeaderValue(100, 199);
        using var part = await service.Http.SendAsync(request, Cancel);
        Assert.Equal(HttpStatusCode.PartialContent, part.StatusCode);
        Assert.Equal(whole[100..200], await part.Content.ReadAsByteArrayAsync(Cancel));

        await using var archive = await service.Http.GetStreamAsync($"/jobs/{id}/checkpoints/best/archive", Cancel);
        using var tar = new TarReader(archive);
        var files = new List<string>();
        while (await tar.GetNextEntryAsync(cancellationToken: Cancel) is { } entry)
            files.Add(Path.GetFileName(entry.Name));
        Assert.Superset(new HashSet<string> { "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "vocab.txt" }, files.ToHashSet());
    }

    private async Task Predicts(string id)
    {
        using var response = await service.Http.PostAsJsonAsync($"/jobs/{id}/predict", new { texts = new[] { "a wonderful, moving film", "dull and far too long" } }, Cancel);
        Assert.True(response.IsSuccessStatusCode, await response.Content.ReadAsStringAsync(Cancel));
        var predictions = (await response.Content.ReadFromJsonAsync<JsonObject>(Cancel))!["predictions"]!.AsArray();

        Assert.All(predictions, prediction => Assert.Equal(1, prediction!["probabilities"]!.AsObject().Sum(label => label.Value!.GetValue<double>()), 5));
        Assert.Equal(["0", "1"], predictions[0]!["probabilities"]!.AsObject().Select(label => label.Key).Order());
    }
}
