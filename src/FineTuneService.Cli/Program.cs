using System.CommandLine;
using FineTuneService.Cli;
using FineTuneService.Cli.Quickstart;
using FineTuneService.Cli.Remote;
using FineTuneService.Training.Native;

if (args is ["train" or "evaluate" or "predict" or "generate", ..])
    HostMemory.BeginAnew();

var finetune = new RootCommand("Fine-tunes Hugging Face models, without a server and without Python.")
{
    TrainCommand.Create(),
    EstimateCommand.Create(),
    EvaluateCommand.Create(),
    PredictCommand.Create(),
    MergeCommand.Create(),
    GenerateCommand.Create(),
    InspectCommand.Create(),
    VerifyCommand.Create(),
    ReportCommand.Create(),
    CleanCommand.Create(),
    QuickstartCommand.Create(),
    SubmitCommand.Create(),
    WatchCommand.Create(),
    JobsCommand.Create(),
    LogsCommand.Create(),
    DownloadCommand.Create(),
    MoveCommand.Cancel(),
    MoveCommand.Pause(),
    MoveCommand.Resume(),
};
return await finetune.Parse(args).InvokeAsync();
