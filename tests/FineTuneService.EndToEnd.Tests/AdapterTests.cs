using System.Diagnostics;
using System.Formats.Tar;
using System.Net;
using System.Text.Json.Nodes;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>What a LoRA job has made, and the ways to go on with it.</summary>
public sealed class AdapterTests(Service service) : IClassFixture<Service>
{
    private const string Film = "a wonderful, moving film";

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_adapter_predicts_becomes_a_whole_model_and_is_gone_on_with()
    {
        service.StartWorker();
        var dataset = new { train = await service.Upload("train.tsv", 200), validation = await service.Upload("dev.tsv", 64) };
        var first = await service.PostJob(new { base_model = "tiny-bert-en", task = "text-classification", dataset, method = new { type = "lora", r = 4 }, training = Training(12, eval_on_start: false) });
        await service.WaitForStatus(first, "succeeded");

        var predicted = (await service.Post($"/jobs/{first}/predict", new { texts = new[] { Film } }, HttpStatusCode.OK))["predictions"]![0]!["probabilities"]!;
        await MergedPredicts(first, predicted);

        var loss = await EvalLoss(first, 12);
        foreach (var spec in new object[]
        {
            new { base_model = $"job:{first}", task = "text-classification", dataset, method = new { type = "lora", r = 2 }, training = Training(1, eval_on_start: true) },
            new { base_model = $"job:{first}", task = "text-classification", dataset, training = Training(1, eval_on_start: true) },
            new { base_model = "tiny-bert-en", task = "text-classification", dataset, method = new { type = "lora", adapter = $"job:{first}" }, training = Training(1, eval_on_start: true) },
        })
        {
            var next = await service.PostJob(spec);
            Assert.Contains($"job:{first}@12", (await service.Get($"/jobs/{next}"))["spec"]!.ToJsonString(), StringComparison.Ordinal);
            await service.WaitForStatus(next, "succeeded");
            Assert.Equal(loss, await EvalLoss(next, 0), 1e-5);
        }
    }

    /// <summary>Opened from the archive alone, by the command.</summary>
    private async Task MergedPredicts(string id, JsonNode expected)
    {
        var folder = Directory.CreateTempSubdirectory("finetune-merged-").FullName;
        try
        {
            await using (var archive = await service.Http.GetStreamAsync($"/jobs/{id}/checkpoints/best/archive?merged=true", Cancel))
                await TarFile.ExtractToDirectoryAsync(archive, folder, overwriteFiles: false, Cancel);
            var model = Path.Combine(folder, $"{id}-checkpoint-12-merged");
            Assert.False(File.Exists(Path.Combine(model, "adapter_config.json")));
            var configuration = Path.GetFileName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory));
            using var process = Process.Start(new ProcessStartInfo(Path.Combine(AppContext.BaseDirectory, "..", "..", "FineTuneService.Cli", configuration, "finetune"), ["predict", model, Film]) { RedirectStandardOutput = true })!;
            var output = await process.StandardOutput.ReadToEndAsync(Cancel);
            await process.WaitForExitAsync(Cancel);
            foreach (var (label, probability) in JsonNode.Parse(output)!["probabilities"]!.AsObject())
                Assert.Equal(expected[label]!.GetValue<double>(), probability!.GetValue<double>(), 1e-5);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private async Task<double> EvalLoss(string id, int step) => (await service.Metrics(id)).Single(row => row.Name == "eval_loss" && row.Step == step).Value;

    private static object Training(int steps, bool eval_on_start) => new
    {
        max_steps = steps,
        per_device_train_batch_size = 8,
        learning_rate = 1e-2,
        max_length = 32,
        eval_on_start,
        eval_strategy = "steps",
        eval_steps = steps,
        save_strategy = "steps",
        save_steps = steps,
    };
}
