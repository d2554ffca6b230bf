using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using FineTuneService.Contracts;

namespace FineTuneService.Storage;

/// <summary>A merge broke off, through no fault of the user's; the message has its last words, for operators.</summary>
public sealed class MergeLostException(string message) : Exception(message);

/// <summary>
/// Adapter checkpoints as whole models: <c>finetune merge</c> makes one when it is first asked for, and it stays in the run's folder, which takes it along when it goes.
/// Whoever asks meanwhile waits for the same merge; one is at work at a time, for each holds a model in memory.
/// </summary>
public sealed class MergedCheckpoints(TrainerLocation trainer, StorageSettings storage, TimeProvider clock) : IDisposable
{
    private const string AdapterWeights = "adapter_model.safetensors", Draft = ".draft-";

    private static readonly TimeSpan Abandoned = TimeSpan.FromDays(1);

    private readonly ConcurrentDictionary<string, Lazy<Task>> _merging = new();
    private readonly SemaphoreSlim _turn = new(1);

    /// <summary>Whether the checkpoint is an adapter, which needs a base.</summary>
    public static bool IsAdapter(string checkpoint) => File.Exists(Path.Combine(checkpoint, AdapterWeights));

    /// <returns>The folder of a whole model: the checkpoint itself, if it is one.</returns>
    /// <param name="cancel">Ends the waiting; the merge goes on for whoever asks next.</param>
    /// <exception cref="FaultException">When adapter and base do not make a model.</exception>
    /// <exception cref="MergeLostException">When the merge broke off.</exception>
    public async Task<string> WholeModel(RunFolder run, string checkpoint, CancellationToken cancel)
    {
        if (!IsAdapter(checkpoint))
            return checkpoint;
        var merged = Place(run, checkpoint);
        if (!Directory.Exists(merged))
            await _merging.GetOrAdd(merged, _ => new(() => Merge(run, checkpoint, merged))).Value.WaitAsync(cancel);
        return merged;
    }

    public void Dispose() => _turn.Dispose();

    /// <summary>An attempt that was rewound writes the same checkpoint again: then it is another model.</summary>
    private static string Place(RunFolder run, string checkpoint) => Path.Combine(
        run.Merged, string.Create(CultureInfo.InvariantCulture, $"{Path.GetFileName(checkpoint)}-{File.GetLastWriteTimeUtc(Path.Combine(checkpoint, AdapterWeights)).Ticks:x}"));

    private async Task Merge(RunFolder run, string checkpoint, string merged)
    {
        await _turn.WaitAsync();
        try
        {
            Directory.CreateDirectory(run.Merged);
            Sweep(run);
            var draft = Path.Combine(run.Merged, Draft + Guid.CreateVersion7().ToString("N"));
            await Run(checkpoint, draft);
            try
            {
                Directory.Move(draft, merged); // If we die before: the draft is swept when it is a day old.
            }
            catch (IOException) when (Directory.Exists(merged)) // Another host was faster.
            {
                Directory.Delete(draft, recursive: true);
            }
        }
        finally
        {
            _merging.TryRemove(merged, out _);
            _turn.Release();
        }
    }

    private async Task Run(string checkpoint, string output)
    {
        var start = new ProcessStartInfo(trainer.Path, ["merge", checkpoint, output]) { RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = checkpoint };
        TrainerLocation.Restrict(start.Environment);
        using var process = Process.Start(start)!;
        var said = process.StandardOutput.ReadToEndAsync();
        var errors = await process.StandardError.ReadToEndAsync();
        await said;
        await process.WaitForExitAsync();
        if (process.ExitCode == TrainerExit.Faulted)
            throw new FaultException("?merged", "true", $"The adapter cannot be merged. {Tell(errors, checkpoint)}", "Mend that, or take the adapter as it is and merge it with its base by finetune merge.");
        if (process.ExitCode == TrainerExit.DiskFull)
            throw FullDisk.Error("There is no room for the merged model.");
        if (process.ExitCode != TrainerExit.Succeeded)
            throw new MergeLostException($"finetune merge ended with exit code {process.ExitCode}. {errors}");
    }

    /// <summary>Where the service keeps its files is nobody's business.</summary>
    private string Tell(string errors, string checkpoint) => errors.Trim()
        .Replace(checkpoint, "?checkpoint", StringComparison.Ordinal)
        .Replace(storage.ModelsDirectory + Path.DirectorySeparatorChar, "", StringComparison.Ordinal)
        .Replace(storage.DataDirectory + Path.DirectorySeparatorChar, "", StringComparison.Ordinal);

    /// <summary>Removes what belongs to no checkpoint any more, and what a process left behind when it died.</summary>
    private void Sweep(RunFolder run)
    {
        var current = Directory.Exists(run.Checkpoints) ? Directory.EnumerateDirectories(run.Checkpoints).Where(IsAdapter).Select(checkpoint => Place(run, checkpoint)).ToHashSet() : [];
        foreach (var folder in new DirectoryInfo(run.Merged).EnumerateDirectories())
            if (folder.Name.StartsWith(Draft, StringComparison.Ordinal) ? clock.GetUtcNow() - folder.LastWriteTimeUtc > Abandoned : !current.Contains(folder.FullName))
                folder.Delete(recursive: true);
    }
}
