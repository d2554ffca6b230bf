namespace FineTuneService.Contracts;

/// <summary>The layout of a run's folder: what worker and trainer tell each other, all of it in files.</summary>
public sealed class RunFolder(string path)
{
    public string Path { get; } = System.IO.Path.GetFullPath(path);

    /// <summary>The resolved <see cref="JobSpec"/>, with paths in place of ids.</summary>
    public string Job => In("job.json");

    /// <summary>One <see cref="TrainingEvent"/> a line, appended only. A last line without a line feed was torn by a crash and does not count.</summary>
    public string Events => In("events.jsonl");

    /// <summary>Held exclusively by the one trainer that may write here.</summary>
    public string Lock => In("trainer.lock");

    /// <summary>Number of the attempt that the run belongs to: a trainer of an earlier one, whose worker was taken for dead, ends when it sees it.</summary>
    public string Owner => In("owner");

    /// <summary>One <see cref="TokenSample"/> a line: the first training rows as a language model reads them; absent for other tasks.</summary>
    public string Samples => In("samples.jsonl");

    /// <summary>What the run has changed about itself to survive, such as smaller micro-batches; absent while nothing was.</summary>
    public string Adaptation => In("adaptation.json");

    /// <summary>Put here by whoever finds that a trainer died for want of memory, with the cause in words: the next one takes it away, and less memory.</summary>
    public string OutOfMemory => In("out_of_memory.txt");

    /// <summary>Its time of change is when the trainer last did something: a step, or a batch of an evaluation.</summary>
    public string Heartbeat => In("heartbeat");

    public string Checkpoints => In("checkpoints");

    public string Checkpoint(int step) => System.IO.Path.Combine(Checkpoints, $"checkpoint-{step}");

    /// <summary>Adapters of this run brought into their base, a whole model each; can be made anew at any time.</summary>
    public string Merged => In("merged");

    private string In(string name) => System.IO.Path.Combine(Path, name);
}

/// <summary>Environment variables that <c>finetune train</c> reads.</summary>
public static class TrainerVariables
{
    /// <summary>Folder for tokenized datasets, which runs share; or <c>off</c>. Else <c>XDG_CACHE_HOME/finetune/datasets</c>, or <c>~/.cache/finetune/datasets</c>.</summary>
    public const string DatasetCache = "FINETUNE_DATASET_CACHE";

    /// <summary>Bytes that they may have together; what was used longest ago goes first. Else 20 GiB.</summary>
    public const string DatasetCacheBytes = "FINETUNE_DATASET_CACHE_BYTES";
}

/// <summary>How <c>finetune train</c> ends, for whoever started it.</summary>
public static class TrainerExit
{
    public const int Succeeded = 0;

    /// <summary>A defect, or a resource was lost; the log's last line may say more.</summary>
    public const int Crashed = 1;

    /// <summary>The user can mend it: the log ends with <see cref="RunFailed"/> and its faults.</summary>
    public const int Faulted = 2;

    /// <summary>Stopped on request, resumable.</summary>
    public const int Stopped = 3;

    /// <summary>Another trainer holds the folder's lock.</summary>
    public const int Busy = 4;

    /// <summary>The run has changed something about itself and begins anew: seen by nobody but those that start its processes.</summary>
    public const int Restart = 5;

    /// <summary>The disk has no room for what could not wait; what was saved before is whole, and it goes on from there.</summary>
    public const int DiskFull = 6;
}
