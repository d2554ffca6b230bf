using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace FineTuneService.Training.Checkpoints;

/// <summary>
/// The content of <c>trainer_state.json</c>, with transformers' keys and no others, so that its tools read our curves;
/// what an exact resume needs besides stands in <c>resume_state.json</c>.
/// The order of rows is a function of seed and step, and the learning rate of the step: neither needs to be stored.
/// </summary>
public sealed class TrainerState
{
    public int? BestGlobalStep { get; set; }
    public double? BestMetric { get; set; }
    public string? BestModelCheckpoint { get; set; }
    public double Epoch { get; set; }
    public int GlobalStep { get; set; }
    public bool IsHyperParamSearch { get; init; }
    public bool IsLocalProcessZero { get; init; } = true;
    public bool IsWorldProcessZero { get; init; } = true;

    /// <summary>One object a log line: <c>{loss, grad_norm, learning_rate, epoch, step}</c> or <c>{eval_loss, …, epoch, step}</c>.</summary>
    public List<JsonObject> LogHistory { get; init; } = [];
    public int MaxSteps { get; set; }
    public long NumInputTokensSeen { get; set; }
    public double NumTrainEpochs { get; set; }
    public int TrainBatchSize { get; set; }

    /// <summary>State of each callback, by name.</summary>
    public JsonObject StatefulCallbacks { get; init; } = [];

    [JsonIgnore]
    public ResumeState Resume { get; set; } = new();

    public void Log(IReadOnlyDictionary<string, double> metrics)
    {
        var line = new JsonObject(metrics.Select(metric => KeyValuePair.Create(metric.Key, (JsonNode?)(double.IsFinite(metric.Value) ? metric.Value : null))))
        {
            ["epoch"] = Epoch,
            ["step"] = GlobalStep,
        };
        LogHistory.Add(line);
    }
}

/// <summary>The content of <c>resume_state.json</c>.</summary>
public sealed class ResumeState
{
    /// <summary>Sums of the steps' metrics since the last log line, and how many steps.</summary>
    public Dictionary<string, double> SumsSinceLog { get; set; } = [];
    public int StepsSinceLog { get; set; }

    /// <summary>Metrics of the evaluation at this very step; null when there was none.</summary>
    public Dictionary<string, double>? EvaluatedHere { get; set; }

    /// <summary>The run ends here: its last step is done, or a callback has had enough.</summary>
    public bool IsFinal { get; set; }
}
