using System.Text.Json;
using System.Text.Json.Serialization;
using FineTuneService.Api.Jobs;
using FineTuneService.Contracts;
using FineTuneService.Storage;
using FineTuneService.Training;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Api.OpenAi;

/// <summary>What of an OpenAI client's request a job specification does not say: <see cref="Job.Client"/>.</summary>
/// <param name="Model">As it was named.</param>
public sealed record FineTuningClient(string Model, string? Suffix, double LearningRateMultiplier)
{
    /// <summary>Null for a job of our own surface.</summary>
    public static FineTuningClient? Of(Job job) => job.Client is null ? null : JsonSerializer.Deserialize<FineTuningClient>(job.Client, Catalog.Json);
}

/// <summary>A job as OpenAI's clients see it.</summary>
public sealed record FineTuningJob
{
    public required string Id { get; init; }
    public string Object => "fine_tuning.job";

    /// <summary>The base model.</summary>
    public required string Model { get; init; }

    /// <summary>Unix time.</summary>
    public required long CreatedAt { get; init; }

    /// <summary>Unix time; null until it has ended.</summary>
    public long? FinishedAt { get; init; }

    /// <summary>The model's name, for completions; null until it succeeded.</summary>
    public string? FineTunedModel { get; init; }

    /// <summary>The project's id.</summary>
    public required string OrganizationId { get; init; }

    /// <summary>One CSV file with the numbers of each step, once it has ended.</summary>
    public required IReadOnlyList<string> ResultFiles { get; init; }

    /// <summary><c>queued</c>, <c>running</c>, <c>paused</c>, <c>succeeded</c>, <c>failed</c> or <c>cancelled</c>.</summary>
    public required string Status { get; init; }
    public required string TrainingFile { get; init; }
    public string? ValidationFile { get; init; }

    /// <summary>Tokens read in all epochs; null until it has ended.</summary>
    public int? TrainedTokens { get; init; }
    public required int Seed { get; init; }
    public required Hyperparameters Hyperparameters { get; init; }

    /// <summary>Not in OpenAI's specification, but in its answers and in its .NET client.</summary>
    public string? UserProvidedSuffix { get; init; }
    public FineTuningError? Error { get; init; }

    /// <summary>Unix time, told within the last minute; null before. Clients sleep until then.</summary>
    public long? EstimatedFinish { get; init; }

    /// <summary>None.</summary>
    public IReadOnlyList<string> Integrations => [];
    public required FineTuningMethod Method { get; init; }
    public required IReadOnlyDictionary<string, string> Metadata { get; init; }

    /// <param name="project">A slug of the project's name.</param>
    /// <param name="trainedTokens">Null where nobody counted.</param>
    public static FineTuningJob From(Job job, string project, double? trainedTokens, DateTimeOffset now)
    {
        var (view, client, hasEnded) = (JobView.From(job), FineTuningClient.Of(job), job.Status.IsTerminal());
        var spec = view.Spec;
        var hyperparameters = Hyperparameters.Of(spec, client);
        return new()
        {
            Id = OpenAiIds.Job(job.Id),
            Model = client?.Model ?? spec.BaseModel,
            CreatedAt = job.CreatedAt.ToUnixTimeSeconds(),
            FinishedAt = hasEnded ? job.FinishedAt?.ToUnixTimeSeconds() : null,
            FineTunedModel = job.Status == JobStatus.Succeeded ? ModelName.Of(job, spec, client, project) : null,
            OrganizationId = job.ProjectId,
            ResultFiles = hasEnded && job.StartedAt is not null ? [OpenAiIds.Results(job.Id)] : [],
            Status = StatusOf(job.Status),
            TrainingFile = FileOf(spec.Dataset.Train)!,
            ValidationFile = FileOf(spec.Dataset.Validation),
            TrainedTokens = hasEnded && trainedTokens is { } tokens ? (int)Math.Min(tokens, int.MaxValue) : null, // The .NET client reads 32 bits.
            Seed = (int)(spec.Training.Seed & int.MaxValue),
            Hyperparameters = hyperparameters,
            UserProvidedSuffix = client?.Suffix,
            Error = job.Status == JobStatus.Failed ? FineTuningError.Of(view) : null,
            EstimatedFinish = hasEnded ? null : Soon(job, now),
            Method = spec.Task is DpoConfig
                ? new("dpo") { Dpo = new(hyperparameters) }
                : new("supervised") { Supervised = new(hyperparameters) },
            Metadata = spec.Metadata ?? new Dictionary<string, string>(),
        };
    }

    /// <summary>In words that OpenAI's clients know.</summary>
    public static string StatusOf(JobStatus status) => status switch
    {
        JobStatus.Waiting or JobStatus.Queued => "queued",
        JobStatus.Preparing or JobStatus.Running or JobStatus.Retrying => "running",
        _ => status.ToString().ToLowerInvariant(),
    };

    /// <summary>
    /// The .NET client sleeps until this time, and breaks when it has passed: so it is told only when near, and never as nearer than clocks differ.
    /// </summary>
    private static long? Soon(Job job, DateTimeOffset now) =>
        job is { Status: JobStatus.Running, EtaSeconds: { } seconds } && seconds <= 60 ? (now + TimeSpan.FromSeconds(Math.Max(10, seconds))).ToUnixTimeSeconds() : null;

    /// <summary>Jobs of before may name what is no dataset's id; it is told as it is.</summary>
    private static string? FileOf(string? dataset) => dataset?.StartsWith("ds_", StringComparison.Ordinal) == true ? OpenAiIds.File(dataset) : dataset;
}

/// <summary>What a job is trained with: numbers, whether they were given or chosen.</summary>
/// <param name="Beta">Of <c>dpo</c> only.</param>
public sealed record Hyperparameters(int NEpochs, int BatchSize, double LearningRateMultiplier, [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] double? Beta)
{
    /// <summary>What <c>learning_rate_multiplier</c> multiplies, for jobs that do not say; as <see cref="SpecResolver"/> chooses for adapters, and for models of usual size.</summary>
    private const double AdapterRate = 2e-4, WholeModelRate = 5e-5;

    public static Hyperparameters Of(JobSpec spec, FineTuningClient? client)
    {
        var training = spec.Training;
        var usual = spec.Method is null or FullFineTuningConfig ? WholeModelRate : AdapterRate;
        return new(
            (int)Math.Max(1, Math.Round(training.NumTrainEpochs.Value ?? 1)),
            (training.PerDeviceTrainBatchSize.Value ?? 1) * training.GradientAccumulationSteps * spec.Devices,
            client?.LearningRateMultiplier ?? (training.LearningRate.Value ?? usual) / usual,
            (spec.Task as DpoConfig)?.Beta);
    }
}

/// <summary>The method with its options once more, where newer clients look for them.</summary>
public sealed record FineTuningMethod(string Type)
{
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public MethodHyperparameters? Supervised { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public MethodHyperparameters? Dpo { get; init; }
}

public sealed record MethodHyperparameters(Hyperparameters Hyperparameters);

/// <summary>Why a job failed.</summary>
/// <param name="Code"><c>invalid_input</c> where you can mend it, else <c>training_failed</c>.</param>
/// <param name="Param">The field that is to blame, where one is.</param>
public sealed record FineTuningError(string Code, string Message, string? Param)
{
    public static FineTuningError Of(JobView job) => job.Faults is { Count: > 0 } faults
        ? new("invalid_input", OpenAiError.Tell(faults), OpenAiError.ParamOf(faults[0].Pointer))
        : new("training_failed", job.Reason ?? "The training failed.", null);
}
