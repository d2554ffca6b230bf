using System.CommandLine;
using System.Globalization;
using FineTuneService.Contracts;
using Job = FineTuneService.Client.Job;

namespace FineTuneService.Cli.Remote;

/// <summary><c>finetune jobs</c>.</summary>
internal static class JobsCommand
{
    public static Command Create()
    {
        var status = new Option<string?>("--status") { Description = "Only jobs in these states, separated by commas: running,queued." };
        var limit = new Option<int?>("--limit") { Description = "The newest so many, 1 to 200. Default: 20." };
        return new Command("jobs", "List a service's jobs, the newest first.") { status, limit }.Ask(async (parsed, client, cancel) =>
        {
            var jobs = (await client.ListJobsAsync(parsed.GetValue(status), limit: parsed.GetValue(limit) ?? 20, cancellationToken: cancel)).Data;
            Console.WriteLine($"{"JOB",-36}  {"STATUS",-9}  {"STEPS",-13}  {"BEST",-24}  {"POSTED",-16}  NAME");
            foreach (var job in jobs)
                Console.WriteLine(Line(job));
            return TrainerExit.Succeeded;
        });
    }

    private static string Line(Job job)
    {
        var best = job.Best is { } found ? string.Create(CultureInfo.InvariantCulture, $"{found.Name} {found.Value:G4}") : "";
        var steps = job.Progress.TotalSteps is { } total ? $"{job.Progress.Step}/{total}" : "";
        return string.Create(CultureInfo.InvariantCulture, $"{job.Id,-36}  {job.Status.ToString().ToLowerInvariant(),-9}  {steps,-13}  {best,-24}  {job.CreatedAt.ToLocalTime():yyyy-MM-dd HH:mm}  {job.Name}").TrimEnd();
    }
}
