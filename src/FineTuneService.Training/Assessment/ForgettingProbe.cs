using FineTuneService.Contracts;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Assessment;

/// <summary>
/// 400 sentences of Wikipedia (see GeneralText.md) that no run learns: the model's loss on them before the first step and later tells what it forgets.
/// Language models predict every token; encoders those that are hidden, the same in every run.
/// </summary>
public static class ForgettingProbe
{
    /// <summary>Of its evaluations among the run's events.</summary>
    public const string Split = "probe";

    private const int MostTokens = 128;

    /// <summary>What has no head for language cannot be asked: the head that classifies does not know general text before it is trained.</summary>
    public static void Check(TrainingTaskConfig task, WeightsFrom init, TrainingArguments training, FaultList faults)
    {
        if (!training.ForgettingCheck)
            return;
        faults.Require(
            TaskOf(task.Head) is not null, "/training/forgetting_check", true, "Not measurable: what this task trains has no head that predicts tokens, so there is no loss on general text to compare.",
            "Leave it out; to keep what the model knows, use the method lora.");
        faults.Require(init == WeightsFrom.Pretrained, "/training/forgetting_check", true, "Weights that are drawn know nothing to forget.", "Leave it out, or start from pretrained weights.");
    }

    /// <returns>The probe as training rows of a task of its own; null where the run wants none.</returns>
    public static TrainingTask? Of(JobSpec spec, PretrainedConfig config, Tokenizer tokenizer)
    {
        if (!spec.Training.ForgettingCheck || TaskOf(((TrainingTaskConfig)spec.Task).Head) is not { } task)
            return null;
        var folder = Directory.CreateTempSubdirectory("finetune-probe-").FullName;
        try
        {
            var file = Path.Combine(folder, "general.jsonl");
            using (var text = typeof(ForgettingProbe).Assembly.GetManifestResourceStream("GeneralText.jsonl")!)
            using (var copy = File.Create(file))
                text.CopyTo(copy);
            return task.LoadToScore(
                new() { Train = file, ValidationSplit = 0, TextColumn = "text" }, new() { MaxLength = Math.Min(MostTokens, spec.Training.MaxLength.Resolved), DataSeed = 0 }, config, tokenizer);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static TrainingTaskConfig? TaskOf(ModelHead head) => head switch
    {
        ModelHead.CausalLm => new CausalLmConfig(),
        ModelHead.MaskedLm => new MaskedLanguageModelConfig(),
        _ => null,
    };
}
