using System.CommandLine;
using FineTuneService.Contracts;
using FineTuneService.Training.DataQuality;

namespace FineTuneService.Cli;

/// <summary><c>finetune clean TRAIN --recipe recipe.json --output FOLDER</c>: writes the dataset that a recipe makes of another, see <see cref="CleanedFolder"/>.</summary>
internal static class CleanCommand
{
    public static Command Create()
    {
        var recipe = new Option<FileInfo>("--recipe") { Description = "What to drop, to mend, to hold out and to add, as JSON: the recipe of a report, or one's own; see CleaningRecipe.", Required = true };
        var output = new Option<DirectoryInfo>("--output") { Description = "Folder to write, which must be empty or absent.", Required = true };
        var command = new Command("clean", "Write a cleaned copy of a dataset by a recipe, with what became of each row.") { recipe, output };
        var data = new DataCommand(command);
        command.SetAction(parsed => data.Run(parsed, (files, tell) =>
            DataCleaner.Run(files, DataCommand.Read<CleaningRecipe>(parsed.GetRequiredValue(recipe)), new(parsed.GetRequiredValue(output).FullName), tell)));
        return command;
    }
}
