using System.Diagnostics;
using System.Text.Json.Nodes;

namespace FineTuneService.EndToEnd.Tests;

/// <summary>The sample notebook's code, cell after cell, as a program of Python without any package.</summary>
public sealed class NotebookTests(Service service) : IClassFixture<Service>
{
    [Fact]
    public async Task It_runs_from_the_upload_to_the_prediction()
    {
        service.StartWorker();
        var notebook = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(Service.Samples, "notebook", "fine-tuning.ipynb"), TestContext.Current.CancellationToken))!;
        var cells = notebook["cells"]!.AsArray().Where(cell => (string)cell!["cell_type"]! == "code").ToList();
        Assert.All(cells, cell => Assert.Empty(cell!["outputs"]!.AsArray()));
        var program = string.Join("\n\n", cells.Select(cell => string.Concat(cell!["source"]!.AsArray().Select(line => (string)line!))));

        var start = new ProcessStartInfo("python3", ["-I", "-"]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["FINETUNE_SERVER"] = service.Http.BaseAddress!.ToString();
        start.Environment["FINETUNE_API_KEY"] = Service.Key;
        start.Environment["MPLBACKEND"] = "agg";
        using var python = Process.Start(start)!;
        var (output, error) = (python.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken), python.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken));
        await python.StandardInput.WriteAsync(program);
        python.StandardInput.Close();
        await python.WaitForExitAsync(TestContext.Current.CancellationToken);

        Assert.True(python.ExitCode == 0, await error);
        var lines = (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Contains(lines, line => line.StartsWith("eval_loss 0.", StringComparison.Ordinal));
        Assert.Contains(lines, line => line.StartsWith("good {'bad': ", StringComparison.Ordinal) || line.StartsWith("good {'good': ", StringComparison.Ordinal));
        Assert.Matches(@"^\d{5,} bytes of model, \d{4,} bytes of report$", lines[^1]);
    }
}
