using System.Globalization;
using FineTuneService.Contracts;
using FineTuneService.Training.Assessment;
using FineTuneService.Training.Checkpoints;
using FineTuneService.Training.Data;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tokenization;
using static TorchSharp.torch;

namespace FineTuneService.Training;

/// <summary>How a folder is scored; what is null comes from the run that wrote it, else from what its head is for.</summary>
/// <param name="BaseFolder">Of an adapter; for <c>dpo</c> also what a whole model is compared with.</param>
/// <param name="MaxLength">Tokens to which rows are fitted.</param>
/// <param name="AbstainBelow">A classifier answers only rows whose most probable class is at least so probable, calibrated if it can be: then it is also told how many these are, and how many of them right.</param>
public sealed record EvaluationOptions(DatasetSpec Dataset, TrainingTaskConfig? Task = null, string? BaseFolder = null, int? MaxLength = null, int BatchSize = 32, double? AbstainBelow = null);

/// <summary>Scores a fine-tuned model on a file, as its training did: the same rows, the same loss, the same scorer.</summary>
public sealed class FolderEvaluation
{
    private readonly EvaluationOptions _options;
    private readonly FineTunedFolder _folder;
    private readonly JobSpec? _job;
    private readonly TrainingTaskConfig _config;
    private readonly TrainingTask _task;

    /// <exception cref="FaultException">When the folder has no head for the task, or the data has faults.</exception>
    public FolderEvaluation(string folder, EvaluationOptions options)
    {
        _options = options;
        _folder = FineTunedFolder.Open(folder, options.BaseFolder);
        _job = JobOf(folder);
        var dataset = Columns(options.Dataset, _job?.Dataset);
        var columns = DataFile.Open(dataset.Train).FirstColumns();
        _config = options.Task ?? (TrainingTaskConfig?)_job?.Task ?? TaskOf(dataset, columns);
        if (_folder.Head is { } head && head != _config.Head)
            throw new FaultException(
                folder, _folder.Config.Architecture ?? head.ToString(), $"This model has no head for {Catalog.NameOf(_config)}.", "Give a checkpoint of a job with this task, or name the task that it was made for (--task).");
        var tokenizer = Tokenizer.Load(_folder.TokenizerFolder);
        var arguments = (_job?.Training ?? new()) with { MaxLength = MaxLengthOf(options.MaxLength) }; // Its seed says which tokens are hidden.
        _task = _config.LoadToScore(SpecResolver.ResolveColumns(_config, dataset, columns), arguments, _folder.Config, tokenizer);
        _folder = _folder with { Config = _task.Configure(_folder.Config) };
    }

    /// <summary>What became of the file's rows.</summary>
    public IEnumerable<string> Notes => _task.Notes;

    /// <exception cref="FaultException">When weights are missing.</exception>
    public Scores Run(Device device)
    {
        if (_task.NeedsReference)
            PrepareReference(device);
        using var model = _folder.Load(_config.Head);
        model.to(device);
        var scores = Evaluation.Run(model, _task, _task.Train, _options.BatchSize, device, "", TimeProvider.System);
        if (_options.AbstainBelow is { } least && scores.Outputs is not { IsSingleLabel: true })
            throw new FaultException("--abstain-below", least.ToString(CultureInfo.InvariantCulture), "This model does not choose one class of several, so nothing tells how sure it is.", "Leave it out.");
        return scores.Outputs is { IsFinite: true } outputs ? scores with { Metrics = scores.Metrics.Concat(Honesty(outputs)).ToDictionary() } : scores;
    }

    /// <summary>How far a classifier's probabilities are what happens: as they are, and with the temperature that its folder brings.</summary>
    private Dictionary<string, double> Honesty(ClassifierOutputs outputs)
    {
        var asTheyAre = Reliability.Of(outputs, 1);
        var metrics = new Dictionary<string, double> { ["ece"] = asTheyAre.Ece, ["brier"] = asTheyAre.Brier };
        if (CalibrationFile.Read(_folder.Path) is { Temperature: var temperature })
        {
            var calibrated = Reliability.Of(outputs, temperature);
            (metrics["temperature"], metrics["calibrated_loss"], metrics["calibrated_ece"], metrics["calibrated_brier"]) = (temperature, calibrated.Nll, calibrated.Ece, calibrated.Brier);
        }
        if (_options.AbstainBelow is not { } least)
            return metrics;
        var answered = Enumerable.Range(0, outputs.Rows).Where(row => outputs.Probabilities(row, metrics.GetValueOrDefault("temperature", 1)).Max() >= least).ToList();
        metrics["coverage"] = (double)answered.Count / outputs.Rows;
        if (answered.Count > 0)
            metrics["answered_accuracy"] = (double)answered.Count(outputs.IsRight) / answered.Count;
        return metrics;
    }

    /// <summary>The base model, or the adapter that the run went on with.</summary>
    private void PrepareReference(Device device)
    {
        var adapter = (_job?.Method as Methods.LoraConfig)?.Adapter;
        var reference = adapter is not null ? FineTunedFolder.Open(adapter, _folder.BaseFolder)
            : (_options.BaseFolder ?? _folder.BaseFolder ?? _job?.BaseModel) is { } found ? FineTunedFolder.Open(found)
            : throw new FaultException("--base", null, "This task compares with the base model, and nothing here says which that is.", "Name the folder of the base model.");
        var scratch = Directory.CreateTempSubdirectory("finetune-reference-");
        try
        {
            using var model = reference.Load(_config.Head);
            model.to(device);
            _task.Prepare(model, new RunFolder(scratch.FullName), _options.BatchSize, device);
        }
        finally
        {
            scratch.Delete(recursive: true);
        }
    }

    /// <summary>Where the job left the length to the service, and where there is no job, it is chosen as for training.</summary>
    private int MaxLengthOf(int? given)
    {
        var limit = _folder.Config.MaxLength;
        if (given is < 2 || given > limit)
            throw new FaultException("--max-length", $"{given}", $"The model reads 2 to {limit} tokens.", "Give a number among these.");
        return given ?? _job?.Training.MaxLength.Value ?? Math.Min(SpecResolver.UsualMaxLength, limit);
    }

    private TrainingTaskConfig TaskOf(DatasetSpec dataset, IReadOnlyList<string> columns) => _folder.Head switch
    {
        ModelHead.SequenceClassification => new TextClassificationConfig(),
        ModelHead.TokenClassification => new TokenClassificationConfig(),
        ModelHead.MaskedLm => new MaskedLanguageModelConfig(),
        ModelHead.ReplacedTokenDetection => new ReplacedTokenDetectionConfig(),
        ModelHead.CausalLm => new TrainingTaskConfig[] { new DpoConfig(), new SftConfig() }.FirstOrDefault(task => Fits(task, dataset, columns)) ?? new CausalLmConfig(),
        _ => throw new FaultException(
            _folder.Path, _folder.Config.Architecture, "Neither config.json nor adapter_config.json says what this model was made for.", "Name the task (--task), or give a checkpoint of a job."),
    };

    private static bool Fits(TrainingTaskConfig task, DatasetSpec dataset, IReadOnlyList<string> columns)
    {
        var faults = new FaultList();
        task.ResolveColumns(dataset, new(columns, faults, (_, _, _) => { }));
        return !faults.Any;
    }

    /// <summary>The job of the run that a checkpoint lies in; null elsewhere.</summary>
    private static JobSpec? JobOf(string folder)
    {
        var run = new RunFolder(Path.Combine(folder, "..", ".."));
        return File.Exists(run.Job) ? TrainingRun.InFolder(JobSpecReader.Read(File.ReadAllBytes(run.Job)), run.Path) : null;
    }

    /// <summary>The columns that were named, else those of the job.</summary>
    private static DatasetSpec Columns(DatasetSpec given, DatasetSpec? ofJob) => ofJob is null ? given with { ValidationSplit = 0 } : ofJob with
    {
        Train = given.Train,
        Validation = null,
        Test = null,
        Replay = null,
        Earlier = null,
        ValidationSplit = 0,
        TextColumn = given.TextColumn ?? ofJob.TextColumn,
        TextPairColumn = given.TextPairColumn ?? ofJob.TextPairColumn,
        LabelColumn = given.LabelColumn ?? ofJob.LabelColumn,
        MessagesColumn = given.MessagesColumn ?? ofJob.MessagesColumn,
        ToolsColumn = given.ToolsColumn ?? ofJob.ToolsColumn,
        PromptColumn = given.PromptColumn ?? ofJob.PromptColumn,
        InputColumn = given.InputColumn ?? ofJob.InputColumn,
        CompletionColumn = given.CompletionColumn ?? ofJob.CompletionColumn,
        ChosenColumn = given.ChosenColumn ?? ofJob.ChosenColumn,
        RejectedColumn = given.RejectedColumn ?? ofJob.RejectedColumn,
        TokensColumn = given.TokensColumn ?? ofJob.TokensColumn,
        TagsColumn = given.TagsColumn ?? ofJob.TagsColumn,
    };
}
