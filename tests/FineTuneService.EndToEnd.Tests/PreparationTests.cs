using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>From a messy file to a clean dataset that a job takes.</summary>
public sealed class PreparationTests : IAsyncLifetime
{
    private readonly Service _service = new() { Settings = new Dictionary<string, string> { ["Datasets__ReportOnUpload"] = "true" } };

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public ValueTask InitializeAsync() => _service.InitializeAsync();

    public ValueTask DisposeAsync() => _service.DisposeAsync();

    [Fact]
    public async Task A_messy_file_is_looked_at_cleaned_and_trained_on()
    {
        var id = await Upload("messy.tsv", Messy());
        var unasked = (await Done(id, (string)(await _service.Get($"/datasets/{id}/preparations"))["data"]![0]!["id"]!))["report"]!;
        Assert.Equal(["exact_duplicate", "conflicting_labels", "personal_data"], new[] { "exact_duplicate", "conflicting_labels", "personal_data" }.Intersect(Codes(unasked)));
        Assert.Equal("words", (string)unasked["lengths"]!["unit"]!);

        var asked = await _service.Post($"/datasets/{id}/report", new { base_model = "tiny-bert-en", validation = await Upload("held.tsv", [Header, .. Sentences(0, 20)]) }, HttpStatusCode.Accepted);
        var report = (await Done(id, (string)asked["id"]!))["report"]!;
        Assert.Equal("tokens", (string)report["lengths"]!["unit"]!);
        Assert.Equal(["messy.tsv", "held.tsv"], report["files"]!.AsArray().Select(file => (string)file!["name"]!));
        Assert.Equal(30, (int)report["findings"]!.AsArray().Single(finding => (string)finding!["code"]! == "leakage")!["count"]!); // Ten of the twenty are there twice.
        Assert.Equal(report.ToJsonString(), (await _service.Get($"/datasets/{id}/report")).ToJsonString());

        var recipe = unasked["recipe"]!.AsObject();
        recipe["validation_split"] = 0.1;
        recipe["personal_data"] = "mask";
        var cleaning = await Done(id, (string)(await _service.Post($"/datasets/{id}/clean", new { recipe, name = "clean films" }, HttpStatusCode.Accepted))["id"]!);
        var (train, validation) = ((string)cleaning["cleaned"]!["train"]!, (string)cleaning["cleaned"]!["validation"]!);
        var ledger = cleaning["cleaned"]!["cleaning"]!["ledgers"]![0]!;
        var (cleaned, held) = (await _service.Get($"/datasets/{train}"), await _service.Get($"/datasets/{validation}"));
        Assert.Equal(("clean films", "clean films validation", id), ((string)cleaned["name"]!, (string)held["name"]!, (string)cleaned["origin"]!["dataset"]!));
        Assert.Equal((int)ledger["used"]!, (int)cleaned["rows"]! + (int)held["rows"]!);
        Assert.Equal((int)ledger["rows"]!, (int)ledger["used"]! + ledger["dropped"]!.AsObject().Sum(reason => (int)reason.Value!["count"]!));
        Assert.Equal((int)ledger["rows"]!, (await Lines($"/datasets/{train}/ledger")).Length);
        Assert.DoesNotContain("someone@example.com", string.Join('\n', await Lines($"/datasets/{train}/content")));
        Assert.Equal(0.1, (double)cleaned["origin"]!["recipe"]!["validation_split"]!);

        _service.StartWorker();
        var job = await _service.PostJob(new { train, validation }, new { max_steps = 2, max_length = 32 });
        await _service.WaitForStatus(job, "succeeded");
    }

    [Fact]
    public async Task What_cannot_be_done_says_why_and_makes_nothing()
    {
        var id = await Upload("few.tsv", [Header, .. Sentences(0, 30)]);
        var before = (await _service.Get("/datasets"))["data"]!.AsArray().Count;
        var failed = await Ended(id, (string)(await _service.Post($"/datasets/{id}/clean", new { recipe = new { columns = new { text_column = "sentences" } } }, HttpStatusCode.Accepted))["id"]!);

        Assert.Equal("failed", (string)failed["status"]!);
        Assert.Equal("sentences", (string)Assert.Single(failed["faults"]!.AsArray())!["value"]!);
        Assert.DoesNotContain(_service.Data, failed.ToJsonString());
        Assert.Equal(before, (await _service.Get("/datasets"))["data"]!.AsArray().Count);
        Assert.Empty(Directory.GetFileSystemEntries(Path.Combine(_service.Data, "preparations")));
        foreach (var (body, pointer) in new (object, string)[]
        {
            (new { validation = "ds_none" }, "/validation"), (new { base_model = "no/such/model" }, "/base_model"), (new { options = new { model = "/etc" } }, "/options/model"), (new { options = new { shown_rows = -1 } }, "/options/shown_rows"),
        })
            Assert.Equal(pointer, (string)(await _service.Post($"/datasets/{id}/report", body, HttpStatusCode.UnprocessableEntity))["faults"]![0]!["pointer"]!);
    }

    private const string Header = "text\tlabel";

    private static IEnumerable<string> Sentences(int from, int count) => File.ReadLines(Path.Combine(Service.Samples, "sst2", "train.tsv")).Skip(1 + from).Take(count);

    private static IEnumerable<string> Messy() =>
    [
        Header, .. Sentences(0, 200), .. Sentences(10, 15), // Again.
        .. Sentences(40, 5).Select(row => row[..^1] + (row[^1] == '0' ? '1' : '0')), // With the other label.
        "write to someone@example.com if you want your money back\t0", "\t1", "!!!\t1",
    ];

    private static IEnumerable<string> Codes(JsonNode report) => report["findings"]!.AsArray().Select(finding => (string)finding!["code"]!);

    private async Task<string> Upload(string name, IEnumerable<string> rows)
    {
        using var form = new MultipartFormDataContent { { new ByteArrayContent(Encoding.UTF8.GetBytes(string.Join('\n', rows) + "\n")), "file", name } };
        form.First().Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
        using var response = await _service.Http.PostAsync("/datasets", form, Cancel);
        return (string)(await response.Content.ReadFromJsonAsync<JsonObject>(Cancel))!["id"]!;
    }

    private async Task<JsonObject> Ended(string dataset, string id)
    {
        while (true)
        {
            var preparation = await _service.Get($"/datasets/{dataset}/preparations/{id}");
            if ((string)preparation["status"]! is "succeeded" or "failed")
                return preparation;
            await Task.Delay(200, Cancel);
        }
    }

    private async Task<JsonObject> Done(string dataset, string id)
    {
        var preparation = await Ended(dataset, id);
        Assert.True((string)preparation["status"]! == "succeeded", preparation.ToJsonString());
        return preparation;
    }

    private async Task<string[]> Lines(string path) => (await _service.Http.GetStringAsync(path, Cancel)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
}
