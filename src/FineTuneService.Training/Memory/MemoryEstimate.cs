using FineTuneService.Contracts;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Memory;

/// <summary>What a run would need of memory, and whether that is there.</summary>
public record MemoryEstimate
{
    public required MemoryForecast Forecast { get; init; }

    /// <summary>The memory that a run would find on this host, in bytes: what is free now, within the limits of a container and of <c>Worker:MemoryLimit</c>.</summary>
    public required long AvailableBytes { get; init; }

    public required MemoryVerdict Verdict { get; init; }

    /// <summary>The least that would have to change for the run to fit; absent when it does, or nothing helps.</summary>
    public MemoryChange? SmallestChange { get; init; }

    /// <param name="spec">Resolved.</param>
    /// <param name="available">Bytes.</param>
    public static MemoryEstimate Of(JobSpec spec, PretrainedConfig config, Workload workload, long available)
    {
        var forecast = MemoryForecast.Of(spec, config, workload);
        var verdict = MemoryAdvice.Judge(forecast.PeakBytes, available);
        return new()
        {
            Forecast = forecast,
            AvailableBytes = available,
            Verdict = verdict,
            SmallestChange = verdict == MemoryVerdict.Fits ? null : MemoryAdvice.Smallest(spec, config, workload, available),
        };
    }

    /// <summary>Of the run that a folder's job.json describes. Rows are counted, not tokenized: each counts as one of <c>max_length</c> tokens.</summary>
    /// <exception cref="FaultException">When job.json, the model or the data have faults.</exception>
    public static MemoryEstimate Of(RunFolder folder, long available)
    {
        if (!File.Exists(folder.Job))
            throw new FaultException(folder.Job, null, "There is no job.json in the run's folder.", "Put one there (samples/jobs has some to copy).");
        var spec = TrainingRun.InFolder(JobSpecReader.Read(File.ReadAllBytes(folder.Job)), folder.Path);
        var config = PretrainedConfig.Read(spec.BaseModel);
        var profile = DatasetProfiler.Profile(spec.Dataset.Train);
        var stored = spec.Init == WeightsFrom.Config ? null : SafetensorsReader.ReadHeaders(spec.BaseModel).Entries;
        spec = SpecResolver.Resolve(spec, new() { MaxPositions = config.MaxLength, Columns = [.. profile.Columns.Select(column => column.Name)], TrainRows = profile.Rows }).Spec;
        var evaluated = new[] { spec.Dataset.Validation, spec.Dataset.Test }.OfType<string>().Select(file => DatasetProfiler.Profile(file).Rows).DefaultIfEmpty().Max();
        return Of(spec, config, Workload.Of(spec, profile, evaluated, stored?.Keys), available);
    }
}
