using System.Globalization;
using System.Text;
using FineTuneService.Storage;
using Microsoft.EntityFrameworkCore;

namespace FineTuneService.Api.OpenAi;

/// <summary>The numbers of an ended job as CSV, a line a step; made from its metrics whenever it is asked for.</summary>
internal static class ResultsFile
{
    private const string Header = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy";

    /// <summary>Our metrics by their column; where a task has none of that name, what comes nearest.</summary>
    private static readonly Dictionary<string, int> Columns = new()
    {
        ["loss"] = 0,
        ["mean_token_accuracy"] = 1,
        ["rewards/accuracies"] = 1,
        ["eval_loss"] = 2,
        ["eval_mean_token_accuracy"] = 3,
        ["eval_rewards/accuracies"] = 3,
        ["eval_accuracy"] = 3,
    };

    /// <summary>Jobs that have run and ended.</summary>
    public static IQueryable<Job> Jobs(FineTuneDb db) => db.Jobs.AsNoTracking().Where(job => job.StartedAt != null && job.FinishedAt != null);

    /// <summary>By the job's id.</summary>
    public static async Task<Dictionary<string, byte[]>> Of(FineTuneDb db, IReadOnlyCollection<string> jobIds, CancellationToken cancel)
    {
        var names = Columns.Keys.ToArray();
        var rows = await db.Metrics.AsNoTracking().Where(metric => jobIds.Contains(metric.JobId) && names.Contains(metric.Name))
            .Select(metric => new { metric.JobId, metric.Step, metric.Name, metric.Value }).ToListAsync(cancel);
        var byJob = rows.ToLookup(row => row.JobId);
        return jobIds.ToDictionary(id => id, id => Encoding.UTF8.GetBytes(Csv(byJob[id].Select(row => (row.Step, row.Name, row.Value)))));
    }

    public static OpenAiFile View(string jobId, DateTimeOffset finishedAt, byte[] csv) => new()
    {
        Id = OpenAiIds.Results(jobId),
        Bytes = csv.Length,
        CreatedAt = finishedAt.ToUnixTimeSeconds(),
        Filename = "step_metrics.csv",
        Purpose = OpenAiFile.Results,
    };

    private static string Csv(IEnumerable<(int Step, string Name, double Value)> metrics)
    {
        var csv = new StringBuilder(Header).Append('\n');
        foreach (var step in metrics.Where(metric => double.IsFinite(metric.Value)).GroupBy(metric => metric.Step).OrderBy(step => step.Key))
        {
            var cells = new double?[Columns.Values.Max() + 1];
            foreach (var (_, name, value) in step)
                cells[Columns[name]] = value;
            csv.Append(CultureInfo.InvariantCulture, $"{step.Key},").AppendJoin(',', cells.Select(cell => cell?.ToString(CultureInfo.InvariantCulture))).Append('\n');
        }
        return csv.ToString();
    }
}
