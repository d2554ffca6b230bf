using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using FineTuneService.Contracts;
using FineTuneService.Training.Methods;
using FineTuneService.Training.Models;

namespace FineTuneService.Training.Checkpoints;

/// <summary>
/// The README.md of a checkpoint, in the form that the hub reads: metadata between two lines of dashes, then what a person wants to know
/// (Mitchell et al. 2019, arXiv:1810.03993). It quotes the specification and the numbers, never the data.
/// </summary>
/// <param name="BaseModel">The name that people know, not a path.</param>
/// <param name="IsAdapter">The folder holds an adapter, which needs its base.</param>
/// <param name="BaseCard">The base model's README.md, whose licence goes on; null without one.</param>
public sealed record ModelCard(JobSpec Spec, string BaseModel, ModelHead Head, bool IsAdapter, string? BaseCard)
{
    public const string FileName = "README.md";

    public static ModelCard For(JobSpec spec, ModelHead head)
    {
        var baseCard = Path.Combine(spec.BaseModel, FileName);
        return new(spec, ModelName.Of(spec.BaseModel), head, spec.Method is LoraConfig, File.Exists(baseCard) ? File.ReadAllText(baseCard) : null);
    }

    /// <param name="metrics">Of this very checkpoint, as evaluated; empty without.</param>
    /// <param name="verified">One sentence on how the written files were proved.</param>
    public string Write(TrainerState state, IReadOnlyDictionary<string, double> metrics, string verified) =>
        $"""
        {Metadata(metrics)}
        # {Name}

        {BaseModel}, fine-tuned for {Catalog.NameOf(Spec.Task)} ({Catalog.NameOf(Spec.Method!)}) by FineTuneService. This is the state after step {state.GlobalStep} of {state.MaxSteps} (epoch {Text(state.Epoch)}).

        ```python
        {Usage}
        ```

        ## Results

        {Results(state)}

        ## Training

        | argument | value |
        |---|---|
        {Arguments}

        {verified}

        """;

    private string Name => Spec.Name ?? $"{BaseModel}-{Catalog.NameOf(Spec.Task)}";

    private string Pipeline => Head switch
    {
        ModelHead.SequenceClassification => "text-classification",
        ModelHead.TokenClassification => "token-classification",
        ModelHead.CausalLm => "text-generation",
        _ => "fill-mask",
    };

    private string AutoClass => Head switch
    {
        ModelHead.SequenceClassification => "AutoModelForSequenceClassification",
        ModelHead.TokenClassification => "AutoModelForTokenClassification",
        ModelHead.CausalLm => "AutoModelForCausalLM",
        _ => "AutoModelForMaskedLM",
    };

    private string Usage => IsAdapter
        ? $"""
        from peft import AutoPeft{AutoClass[4..]}
        model = AutoPeft{AutoClass[4..]}.from_pretrained("this folder")
        """
        : $"""
        from transformers import pipeline
        model = pipeline("{Pipeline}", "this folder")
        """;

    private string Arguments => string.Join('\n', (JsonSerializer.SerializeToNode(Spec.Training, Catalog.Json) as JsonObject)!.Select(argument => $"| {argument.Key} | {argument.Value} |"));

    private string Metadata(IReadOnlyDictionary<string, double> metrics)
    {
        var yaml = new StringBuilder("---\n").AppendLine(CultureInfo.InvariantCulture, $"base_model: {Quote(BaseModel)}");
        if (License is { } license)
            yaml.AppendLine(CultureInfo.InvariantCulture, $"license: {license}");
        yaml.AppendLine(CultureInfo.InvariantCulture, $"library_name: {(IsAdapter ? "peft" : "transformers")}").AppendLine(CultureInfo.InvariantCulture, $"pipeline_tag: {Pipeline}")
            .AppendLine(CultureInfo.InvariantCulture, $"tags: [fine-tune-service, {Catalog.NameOf(Spec.Task)}, {Catalog.NameOf(Spec.Method!)}]");
        if (Quality(metrics).ToList() is { Count: > 0 } results)
        {
            yaml.AppendLine(CultureInfo.InvariantCulture, $"model-index:\n- name: {Quote(Name)}\n  results:\n  - task: {{type: {Pipeline}}}\n    dataset: {{name: validation, type: custom}}\n    metrics:");
            foreach (var (metric, value) in results)
                yaml.AppendLine(CultureInfo.InvariantCulture, $"    - {{type: {metric}, value: {Text(value)}}}");
        }
        return yaml.Append("---").ToString();
    }

    /// <summary>The <c>license:</c> line of the base model's card: what is made from a model is bound by it.</summary>
    private string? License => BaseCard?.Split('\n').SkipWhile(line => line.Trim() != "---").Skip(1).TakeWhile(line => line.Trim() != "---")
        .Where(line => line.StartsWith("license:", StringComparison.Ordinal)).Select(line => line["license:".Length..].Trim()).FirstOrDefault();

    private static string Results(TrainerState state)
    {
        var rows = state.LogHistory.Where(line => line.ContainsKey("eval_loss")).ToList();
        if (rows.Count == 0)
            return "Nothing was evaluated.";
        var names = rows[^1].Select(entry => entry.Key).Where(IsQuality).Select(name => name[EvaluationMetric.Prefix.Length..]).ToArray();
        return string.Join('\n',
        [
            $"| step | epoch | {string.Join(" | ", names)} |",
            $"|---|---|{string.Concat(names.Select(_ => "---|"))}",
            .. rows.Select(row => $"| {row["step"]} | {Text(row["epoch"]!.GetValue<double>())} | {string.Join(" | ", names.Select(name => row[EvaluationMetric.Prefix + name] is { } value ? Text(value.GetValue<double>()) : ""))} |"),
        ]);
    }

    private static IEnumerable<(string Name, double Value)> Quality(IReadOnlyDictionary<string, double> metrics) =>
        from metric in metrics where IsQuality(metric.Key) select (metric.Key[EvaluationMetric.Prefix.Length..], metric.Value);

    /// <summary>What was measured about the model, not about the machine.</summary>
    private static bool IsQuality(string metric) =>
        metric.StartsWith(EvaluationMetric.Prefix, StringComparison.Ordinal) && !metric.EndsWith("runtime", StringComparison.Ordinal) && !metric.EndsWith("per_second", StringComparison.Ordinal);

    private static string Text(double value) => value.ToString("G5", CultureInfo.InvariantCulture);

    private static string Quote(string text) => JsonSerializer.Serialize(text, SnakeCaseJson.Options); // A JSON string is a YAML string.
}
